//! The two readers of files of records, compared with each other.

use uie_records::{Chunk, ChunkReader, Layout, ReadError, ReadOptions, Record, RowReader, TextInput};

use crate::fixture::ChunkedReader;

/// Line and text of a row.
type LineAndText = (u64, Vec<u8>);

/// Asserts that a file of JSON has the same rows, one at a time and in chunks, up to an error.
pub(crate) fn assert_row_readers_agree(file: &[u8], step: usize) {
    let (mut rows, mut chunks) = (Vec::new(), Vec::new());
    let (by_rows, by_chunks) = (read_rows(file, step, &mut rows), read_chunks(file, step, &mut chunks));
    let is_complete = matches!(by_rows, Ok(true)) && by_chunks.is_ok();
    assert!(!is_complete || rows.len() == chunks.len(), "{} and {} rows", rows.len(), chunks.len());
    for (row, in_chunk) in rows.iter().zip(&chunks).filter(|_| !matches!(by_rows, Ok(false))) {
        assert_eq!(row, in_chunk, "the rows differ");
    }
}

/// Reads one row at a time; returns false for CSV and LDIF.
fn read_rows(file: &[u8], step: usize, rows: &mut Vec<LineAndText>) -> Result<bool, ReadError> {
    let mut input = TextInput::open(Box::new(ChunkedReader::new(file, step)), &ReadOptions::default())?;
    let layout = input.detect_layout()?;
    if matches!(layout, Layout::Csv | Layout::Ldif) {
        return Ok(false);
    }
    let mut reader = RowReader::new(input, layout);
    let mut record = Record::default();
    while reader.next(&mut record)? {
        let text = record.bytes.trim_ascii();
        if !text.is_empty() {
            rows.push((record.line, text.to_vec()));
        }
    }
    Ok(true)
}

fn read_chunks(file: &[u8], step: usize, rows: &mut Vec<LineAndText>) -> Result<(), ReadError> {
    let mut reader = ChunkReader::open(Box::new(ChunkedReader::new(file, step)), None, &ReadOptions::default())?;
    let mut chunk = Chunk::default();
    while reader.next_chunk(&mut chunk)? {
        rows.extend(chunk.rows().map(|(line, row)| (line, row.expect("a small row").trim_ascii().to_vec())));
    }
    Ok(())
}
