//! Texts in UTF-8.

use std::io::Read;

use super::super::copy::BUFFER_BYTES;

/// Checks a text of any length, a window at a time.
pub(super) fn text(mut reader: impl Read) -> Result<(), String> {
    let mut window = vec![0; BUFFER_BYTES];
    let (mut kept, mut before) = (0, 0_u64);
    loop {
        let count = reader.read(&mut window[kept..]).map_err(|error| error.to_string())?;
        let end = kept + count;
        let valid = match std::str::from_utf8(&window[..end]) {
            Ok(_) => end,
            // A character may be cut by the end of the window, not by the end of the file.
            Err(error) if error.error_len().is_none() && count > 0 => error.valid_up_to(),
            Err(error) => {
                let at = before + error.valid_up_to() as u64;
                return Err(format!("it is not UTF-8 at byte {at}; write it with encoding=\"utf-8\""));
            }
        };
        if count == 0 {
            return Ok(());
        }
        before += valid as u64;
        kept = end - valid;
        window.copy_within(valid..end, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_followed_across_windows() {
        let long = "ä".repeat(BUFFER_BYTES) + "x";
        assert_eq!(text(long.as_bytes()), Ok(()));
        assert_eq!(text(&b"x\xc3"[..]).unwrap_err(), "it is not UTF-8 at byte 1; write it with encoding=\"utf-8\"");
        assert!(text([long.as_bytes(), b"\xff"].concat().as_slice()).unwrap_err().contains(&format!("byte {}", long.len())));
    }
}
