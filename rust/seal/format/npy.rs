//! numpy arrays without objects (NEP 1): the header, and that the content is as long as it says.

use std::io::{self, Read};

use super::literal::Literal;

/// numpy itself reads no longer header from a file that is not trusted.
const LONGEST_NPY_HEADER: usize = 10_000;

/// Checks the header of an array that is `bytes` long with it, and that its content is as long as the header says.
pub(super) fn npy(reader: &mut impl Read, bytes: u64) -> Result<(), String> {
    let remedy = "write it with numpy.save";
    let short = |error: io::Error| format!("its header cannot be read ({error}); {remedy}");
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(short)?;
    if &start[..6] != b"\x93NUMPY" {
        return Err(format!("it is no npy file; {remedy}"));
    }
    let (prefix, length) = match start[6] {
        1 => {
            let mut length = [0; 2];
            reader.read_exact(&mut length).map_err(short)?;
            (10, usize::from(u16::from_le_bytes(length)))
        }
        2 | 3 => {
            let mut length = [0; 4];
            reader.read_exact(&mut length).map_err(short)?;
            (12, u32::from_le_bytes(length) as usize)
        }
        version => return Err(format!("its npy version {version} is unknown; {remedy}")),
    };
    if length > LONGEST_NPY_HEADER {
        return Err(format!("its header is longer than {LONGEST_NPY_HEADER} bytes, which numpy does not read; use fewer fields"));
    }
    let mut header = vec![0; length];
    reader.read_exact(&mut header).map_err(short)?;
    let (item, count) = header_sizes(&String::from_utf8_lossy(&header))?;
    let content = item.checked_mul(count).and_then(|size| size.checked_add(prefix + length as u64));
    match content {
        Some(expected) if expected == bytes => Ok(()),
        _ => Err(format!("its header tells of {count} items of {item} bytes, but the file has {bytes} bytes; {remedy}")),
    }
}

/// Bytes of one item, and number of items.
fn header_sizes(header: &str) -> Result<(u64, u64), String> {
    let remedy = "write it with numpy.save";
    let Some(Literal::Map(fields)) = Literal::parse(header) else {
        return Err(format!("its header is no dictionary; {remedy}"));
    };
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let (Some(descr), Some(Literal::Flag), Some(shape)) = (field("descr"), field("fortran_order"), field("shape")) else {
        return Err(format!("its header lacks descr, fortran_order or shape; {remedy}"));
    };
    if fields.len() != 3 {
        return Err(format!("its header has other fields than descr, fortran_order and shape; {remedy}"));
    }
    Ok((item_bytes(descr)?, product(shape)?))
}

fn item_bytes(descr: &Literal) -> Result<u64, String> {
    let unknown = || "its header names an unknown type; use numbers, booleans, strings or records of them".to_owned();
    match descr {
        Literal::Text(name) => type_bytes(name).unwrap_or_else(|| Err(unknown())),
        Literal::Sequence(fields) if !fields.is_empty() => {
            let mut total = 0_u64;
            for field in fields {
                let Literal::Sequence(field) = field else {
                    return Err(unknown());
                };
                let (item, count) = match field.as_slice() {
                    [_, descr] => (item_bytes(descr)?, 1),
                    [_, descr, shape] => (item_bytes(descr)?, product(shape)?),
                    _ => return Err(unknown()),
                };
                total = item.checked_mul(count).and_then(|size| total.checked_add(size)).ok_or_else(unknown)?;
            }
            Ok(total)
        }
        _ => Err(unknown()),
    }
}

/// Bytes of `<f8` and the like; None where there is no such type.
fn type_bytes(name: &str) -> Option<Result<u64, String>> {
    let name = name.trim_start_matches(['<', '>', '|', '=']);
    let kind = name.chars().next()?;
    if kind == 'O' {
        return Some(Err("it holds Python objects, which are pickles; write arrays of numbers or strings".into()));
    }
    let rest = name.get(1..)?;
    let digits = match kind {
        'M' | 'm' => rest.split('[').next()?,
        _ => rest,
    };
    let bytes: u64 = if kind == '?' { 1 } else { digits.parse().ok()? };
    match kind {
        'b' | 'i' | 'u' | 'f' | 'c' | '?' | 'S' | 'a' | 'V' | 'M' | 'm' => Some(Ok(bytes)),
        'U' => Some(Ok(bytes.checked_mul(4)?)),
        _ => None,
    }
}

fn product(shape: &Literal) -> Result<u64, String> {
    let bad = || "its header has a shape that is no tuple of sizes; write it with numpy.save".to_owned();
    let sizes = match shape {
        Literal::Sequence(sizes) => sizes.as_slice(),
        Literal::Number(_) => std::slice::from_ref(shape),
        _ => return Err(bad()),
    };
    sizes.iter().try_fold(1_u64, |so_far, size| match size {
        Literal::Number(size) => so_far.checked_mul(*size).ok_or_else(bad),
        _ => Err(bad()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn header_sizes_as_numpy_writes_them() {
        let header = |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}   \n");
        let cases = [
            ("'<f8'", "(3, 4)", (8, 12)),
            ("'|b1'", "()", (1, 1)),
            ("'<U7'", "(5,)", (28, 5)),
            ("'<M8[ns]'", "(2,)", (8, 2)),
            ("[('a', '<i4'), ('b', '<f8', (2, 3))]", "(1,)", (52, 1)),
            ("[('it\\'s', [('x', '|u1')], (4,))]", "(0,)", (4, 0)),
        ];
        for (descr, shape, sizes) in cases {
            assert_eq!(header_sizes(&header(descr, shape)), Ok(sizes), "{descr} {shape}");
        }
        for descr in ["'|O'", "[('a', '<i4'), ('b', '|O')]", "[('a', [('b', 'O')], (2,))]"] {
            assert!(header_sizes(&header(descr, "(1,)")).is_err_and(|problem| problem.contains("objects")));
        }
        for (descr, shape) in
            [("'<f8'", "(-1,)"), ("'<q8'", "(1,)"), ("'<f8'", "(18446744073709551615, 2)"), ("[]", "(1,)"), ("''", "()")]
        {
            assert!(header_sizes(&header(descr, shape)).is_err(), "{descr} {shape}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(header in "[\\[\\](){}',:0-9a-zA-Z<>|L\\\\ ]{0,80}") {
            let _ = header_sizes(&header);
        }
    }
}
