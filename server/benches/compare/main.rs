//! The helper program of the comparison, started by `run`. `users COUNT` writes generated users to standard output, one
//! per line, in the format of Auth0's export. `inflate FILE` only decompresses a file, with the same library as the
//! program.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};

use flate2::bufread::MultiGzDecoder;
use simulated_tenant::generate::export_user;

/// Seed of the generated users.
const SEED: u64 = 42;

fn users(count: u64) -> std::io::Result<()> {
    let mut output = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    for index in 0..count {
        output.write_all(export_user(index, SEED).as_bytes())?;
        output.write_all(b"\n")?;
    }
    output.flush()
}

fn inflate(file: &str) -> std::io::Result<()> {
    let mut input = MultiGzDecoder::new(BufReader::with_capacity(128 * 1024, File::open(file)?));
    let mut buffer = vec![0; 256 * 1024];
    while input.read(&mut buffer)? > 0 {}
    Ok(())
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["users", count] => users(count.parse().map_err(std::io::Error::other)?),
        ["inflate", file] => inflate(file),
        _ => {
            eprintln!("The comparison is started by server/benches/compare/run; see the README beside it.");
            Ok(())
        }
    }
}
