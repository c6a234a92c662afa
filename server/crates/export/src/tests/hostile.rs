//! Tests with malformed and malicious input: each kind has one defined result, whichever way a row is read.

use super::*;
use uie_core::error::Error;

/// Exports by a projection and by trees, on one thread and on several. Checks that the results are equal.
fn export_all_ways(request: &ExportRequest, input: &[u8]) -> Result<(String, ExportSummary)> {
    let mut results = Vec::new();
    for projected in [true, false] {
        for threads in [1, 3] {
            let mut spec = ExportSpec::new(request, MEMORY)?.with_threads(threads);
            assert!(spec.projection.is_some(), "these columns can be read by a projection");
            if !projected {
                spec.projection = None;
            }
            let output = Output::default();
            let source = Box::new(std::io::Cursor::new(input.to_vec()));
            let summary = run_file(&spec, source, Box::new(output.clone()), &Progress::default());
            results.push(summary.map(|summary| (output.text(), summary)).map_err(|error| (error.code, error.message)));
        }
    }
    let first = results.remove(0);
    for other in results {
        assert_eq!(other, first, "all ways of reading have the same result");
    }
    first.map_err(|(code, message)| Error::new(code, message))
}

fn columns() -> ExportRequest {
    request(Format::Csv, &[("a", "A"), ("b.c", "C")])
}

/// Exports the input, plain and compressed. Returns the rows after the header, and the first faults.
fn rows(input: impl AsRef<[u8]>) -> (Vec<String>, Vec<String>) {
    let (text, summary) = export_all_ways(&columns(), input.as_ref()).expect("the export succeeds");
    assert_eq!(summary.rows as usize, text.lines().count() - 1);
    let compressed = export_all_ways(&columns(), &gzip(input.as_ref())).expect("the export succeeds");
    assert_eq!(compressed, (text.clone(), summary.clone()));
    let faults = summary.first_faults.iter().map(ToString::to_string).collect();
    (text.lines().skip(1).map(str::to_owned).collect(), faults)
}

/// Like [`rows`], for one unusual user between two valid ones, as a line and as an element of an array. Returns its
/// cells or its fault.
fn export_between_valid_rows(user: impl AsRef<[u8]>) -> std::result::Result<String, String> {
    let user = user.as_ref();
    // The text is UTF-8, whatever the unusual user is.
    let first = "{\"a\":1,\"text\":\"ÀÉÎÕÜßñ\"}".as_bytes();
    let lines = [first, b"\n", user, b"\n{\"a\":2}"].concat();
    let array = [b"[", first, b",\n", user, b",\n{\"a\":2}]"].concat();
    let (as_line, faults) = rows(&lines);
    assert_eq!(rows(&array), (as_line.clone(), faults.clone()), "lines and arrays have the same result");
    assert_eq!([as_line.first(), as_line.last()].map(|row| row.unwrap().as_str()), ["1,", "2,"]);
    match (as_line.as_slice(), faults.as_slice()) {
        ([_, cells, _], []) => Ok(cells.clone()),
        ([_, _], [fault]) => Err(fault.clone()),
        other => panic!("one row or one fault, not {other:?}"),
    }
}

fn fault(why: &str) -> std::result::Result<String, String> {
    Err(format!("line 2: {why}"))
}

#[test]
fn an_invalid_line_is_one_fault() {
    let good = "{\"a\":1,\"b\":{\"c\":\"x\"}}\n".repeat(40_000);
    let (rows, faults) = rows(format!("{good}this is not JSON\n{good}"));
    assert_eq!(rows.len(), 80_000);
    assert!(rows.iter().all(|row| row == "1,x"));
    assert_eq!(faults, ["line 40001: not valid JSON at byte 2 of the row"]);
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_start_only() {
    assert_eq!(rows("\u{feff}{\"a\":1}\n{\"a\":2}"), (vec!["1,".into(), "2,".into()], vec![]));
    assert_eq!(export_between_valid_rows("\u{feff}{\"a\":3}"), fault("not valid JSON at byte 1 of the row"));
}

#[test]
fn cr_lf_is_a_line_end() {
    let found = rows("{\"a\":1}\r\n\r\n{\"a\": 2 }\r\n{\"a\":3}\r\n");
    assert_eq!(found, (vec!["1,".into(), "2,".into(), "3,".into()], vec![]));
    // A carriage return alone is not a line end.
    assert_eq!(rows("{\"a\":1}\r{\"a\":2}").1.len(), 1);
}

#[test]
fn nul_bytes_are_invalid() {
    assert_eq!(export_between_valid_rows("{\"a\":\"x\0y\"}"), fault("not valid JSON at byte 7 of the row"));
    assert_eq!(export_between_valid_rows("{\"a\":1\0}"), fault("not valid JSON at byte 7 of the row"));
    assert_eq!(rows("{\"a\":1}\0\n{\"a\":2}").1, ["line 1: not valid JSON at byte 8 of the row"]);
    let error = export_all_ways(&columns(), b"[{\"a\":1}\0]").unwrap_err();
    assert_eq!(error.message, "Line 1: found byte 0x00, expected `,` or `]` after a user.");
    assert_eq!(
        export_between_valid_rows("{\"x\":\"\\u0000\",\"a\":\"\\u0000\"}"),
        Ok("\0,".into()),
        "escaped NUL characters are valid"
    );
}

#[test]
fn invalid_utf_8_is_one_fault() {
    for bytes in [b"\xff".as_slice(), b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf"] {
        for (before, after) in [("{\"a\":\"x", "\"}"), ("{\"unwanted\":\"x", "\"}"), ("{\"a", "\":1}")] {
            let user = [before.as_bytes(), bytes, after.as_bytes()].concat();
            let why = format!("not valid UTF-8 at byte {} of the row", before.len() + 1);
            assert_eq!(export_between_valid_rows(user), fault(&why));
        }
    }
}

#[test]
fn unpaired_surrogates_are_replaced() {
    assert_eq!(export_between_valid_rows("{\"a\":\"x\\ud800y\"}"), Ok("x\u{fffd}y,".into()));
    assert_eq!(export_between_valid_rows("{\"unwanted\":\"\\udc00\",\"a\":\"\\ud83d\\ude00\"}"), Ok("😀,".into()));
}

#[test]
fn the_last_value_of_a_duplicate_name_is_used() {
    assert_eq!(export_between_valid_rows("{\"a\":1,\"b\":{\"c\":2},\"a\":3}"), Ok("3,2".into()));
    assert_eq!(export_between_valid_rows("{\"b\":{\"c\":2},\"b\":{\"d\":3}}"), Ok(",".into()));
    assert_eq!(export_between_valid_rows("{\"b\":{\"c\":2},\"b\":null,\"a\":4}"), Ok("4,".into()));
    assert_eq!(export_between_valid_rows("{\"b\":5,\"b\":{\"c\":2,\"c\":[6,6]}}"), Ok(",\"[6,6]\"".into()));
}

#[test]
fn nesting_of_ten_thousand_levels_is_one_fault() {
    for (open, close) in [("[", "]"), ("{\"b\":", "}")] {
        for name in ["a", "unwanted", "b"] {
            let deep = format!("{{\"{name}\":{}1{}}}", open.repeat(10_000), close.repeat(10_000));
            assert_eq!(export_between_valid_rows(deep), fault("nested deeper than 127 levels"));
        }
    }
    let unclosed = rows(format!("{{\"a\":{}\n{{\"a\":2}}", "[".repeat(10_000)));
    assert_eq!(unclosed, (vec!["2,".into()], vec!["line 1: nested deeper than 127 levels".into()]));
}

#[test]
fn a_line_of_a_hundred_megabytes_is_one_fault() {
    for (projected, threads) in [(true, 1), (false, 2)] {
        let mut spec = ExportSpec::new(&columns(), MEMORY).unwrap().with_threads(threads);
        if !projected {
            spec.projection = None;
        }
        let long = std::io::repeat(b'x').take(100 << 20);
        let input = b"{\"a\":1}\n{\"a\":\"".chain(long).chain(&b"\"}\n{\"a\":2}\n"[..]);
        let output = Output::default();
        let summary = run_file(&spec, Box::new(input), Box::new(output.clone()), &Progress::default()).unwrap();
        assert_eq!(output.text(), "A,C\n1,\n2,\n");
        assert_eq!(summary.first_faults, ["line 2: longer than 64 MiB"]);
    }
}

#[test]
fn a_row_longer_than_a_chunk_is_a_row() {
    let long = "z".repeat(5 << 20);
    let (found, faults) = rows(format!("{{\"a\":1}}\n{{\"x\":\"{long}\",\"a\":2}}\n{{\"a\":\"{long}\"}}\n{{\"a\":3}}"));
    assert_eq!(found, ["1,".to_owned(), "2,".to_owned(), format!("{long},"), "3,".to_owned()]);
    assert_eq!(faults.len(), 0);
}

#[test]
fn empty_input_has_no_rows() {
    for input in ["", "\n", " \r\n\t\n", "\u{feff}", "[]", " [ ] \n"] {
        assert_eq!(rows(input), (vec![], vec![]), "{input:?}");
    }
}

#[test]
fn damaged_input_is_an_error() {
    let whole = gzip(&USERS.repeat(2000).into_bytes());
    for (input, expected) in [
        (whole[..whole.len() / 2].to_vec(), "The compressed file ends in the middle, after line "),
        (whole[..whole.len() - 1].to_vec(), "The compressed file ends in the middle, after line "),
        (b"[{\"a\":1},\n{\"a\":2},\n,]".to_vec(), "Line 3: found `,`, expected a user after the comma."),
        (gzip(b"[{\"a\":1},,]"), "Line 1: found `,`, expected a user after the comma."),
        (b"[{\"a\":1}\n".to_vec(), "The array that should end with `]` ends in line 2 without it."),
        (b"[{\"a\":1},\n{\"a\":\"x".to_vec(), "The array ends in the middle of the user that starts in line 2."),
    ] {
        let error = export_all_ways(&columns(), &input).unwrap_err();
        assert_eq!(error.code, Code::InvalidUsersFile);
        assert!(error.message.to_string().starts_with(expected), "{} should start with {expected}", error.message);
    }
}

#[test]
fn numbers_beyond_64_bit_floating_point_are_one_fault() {
    for number in ["1e999", "-1e400", &format!("1{}", "0".repeat(400))] {
        let why = export_between_valid_rows(format!("{{\"a\":{number}}}")).unwrap_err();
        assert!(why.starts_with("line 2: a number beyond 64-bit floating point at byte "), "{why}");
        assert_eq!(
            export_between_valid_rows(format!("{{\"unwanted\":{number},\"a\":3}}")),
            Ok("3,".into()),
            "it is not read"
        );
    }
    assert_eq!(
        export_between_valid_rows("{\"a\":1e-999,\"b\":{\"c\":123456789012345678901234567890}}"),
        Ok("0,1.2345678901234568e+29".into())
    );
}

proptest! {
    #[test]
    fn all_ways_of_reading_have_the_same_result_for_any_file(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("{\"a\":1,\"b\":{\"c\":\"x\"}}\n".to_owned()),
                Just("{\"b\":{\"c\":[1,\"y\"]} , \"a\":\"\\ud800\"}\r\n".to_owned()),
                "[\\[\\]{},:\"\\\\abc1 \n\r\u{0}\u{feff}é]{0,12}",
                "\\{\"a\":[\\[\\]{},:\"\\\\abc1 \nu0e.-]{0,9}\\}\n",
            ],
            0..12,
        ),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
        filtered in any::<bool>(),
    ) {
        let mut input = pieces.concat().into_bytes();
        if !whole {
            // The cut may be inside a character.
            let at = cut.index(input.len() + 1);
            input.truncate(at);
        }
        let query = filtered.then(|| "_exists_:a".to_owned());
        let _ = export_all_ways(&ExportRequest { query: query.clone(), ..columns() }, &input);
        let sort = Some(SortRequest { by: "a".to_owned(), descending: true });
        let _ = export_all_ways(&ExportRequest { query, sort, ..request(Format::Ndjson, &[]) }, &input);
    }
}
