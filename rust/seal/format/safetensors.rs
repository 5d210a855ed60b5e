//! Tensors by name in one file: a JSON header, then the numbers.

use std::io::Read;

const LONGEST_TENSOR_HEADER: u64 = 10_000_000;

#[derive(serde::Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Checks that the tensors fill the file without gaps, each as long as its shape says.
pub(super) fn safetensors(reader: &mut impl Read, bytes: u64) -> Result<(), String> {
    let bad = |problem: &dyn std::fmt::Display| format!("it is no safetensors file ({problem}); write it with safetensors");
    let mut length = [0; 8];
    reader.read_exact(&mut length).map_err(|error| bad(&error))?;
    let length = u64::from_le_bytes(length);
    let content = bytes.checked_sub(8).and_then(|rest| rest.checked_sub(length));
    let content = content.ok_or_else(|| bad(&"its header is longer than the file"))?;
    if length > LONGEST_TENSOR_HEADER {
        return Err(bad(&format!("its header is longer than {LONGEST_TENSOR_HEADER} bytes")));
    }
    let mut header = vec![0; length as usize];
    reader.read_exact(&mut header).map_err(|error| bad(&error))?;
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&header).map_err(|error| bad(&error))?;
    let mut spans = Vec::new();
    for (name, value) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
        let tensor: Tensor = serde_json::from_value(value).map_err(|error| bad(&format!("tensor {name:?}: {error}")))?;
        let (begin, end) = tensor.data_offsets;
        let item =
            dtype_bytes(&tensor.dtype).ok_or_else(|| bad(&format!("tensor {name:?} has unknown type {:?}", tensor.dtype)))?;
        let size = tensor.shape.iter().try_fold(item, |size, &length| size.checked_mul(length));
        if end.checked_sub(begin) != size || size.is_none() {
            return Err(bad(&format!("tensor {name:?} has not the size of its shape")));
        }
        spans.push((begin, end));
    }
    spans.sort_unstable();
    let mut reached = 0;
    for (begin, end) in spans {
        if begin != reached {
            return Err(bad(&"its tensors overlap or leave gaps"));
        }
        reached = end;
    }
    if reached != content {
        return Err(bad(&format!("its tensors take {reached} bytes of {content}")));
    }
    Ok(())
}

fn dtype_bytes(name: &str) -> Option<u64> {
    Some(match name {
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" => 1,
        "U16" | "I16" | "F16" | "BF16" => 2,
        "U32" | "I32" | "F32" => 4,
        "U64" | "I64" | "F64" | "C64" => 8,
        _ => return None,
    })
}
