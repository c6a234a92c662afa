//! Measures the sandbox: starting with many transforms, the first use of a transform, and rows at several batch sizes.
//! Run with `cargo bench --bench sandbox`.

use std::path::Path;
use std::time::{Duration, Instant};

use transforms_sdk::Value;
use uie_core::config::{Purpose, Settings};
use uie_sandbox::{Origin, Sandbox, Transform};

/// Number of transforms in the large catalog.
const MANY: usize = 200;

/// Number of repetitions; medians are printed.
const TIMES: usize = 15;

const MASK_EMAIL: &[u8] = include_bytes!("../../transforms/prebuilt/mask_email.wasm");

fn settings(data: &Path, transforms: Option<&Path>) -> Settings {
    let transforms = transforms.map(|path| ("TRANSFORMS_DIR", path));
    let variables = [("DATA_DIR", data)].into_iter().chain(transforms);
    let variables = variables.map(|(key, path)| (key.to_owned(), path.display().to_string()));
    Settings::parse(Purpose::Local, variables, None).expect("settings")
}

/// Returns the shipped transform with another name of the same length.
fn renamed(number: usize) -> Vec<u8> {
    let name = format!("mask_{number:05}");
    let mut bytes = MASK_EMAIL.to_vec();
    for at in memchr::memmem::find_iter(MASK_EMAIL, b"mask_email") {
        bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
    }
    bytes
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn measure<T>(mut work: impl FnMut() -> T) -> f64 {
    median(
        (0..TIMES)
            .map(|_| {
                let began = Instant::now();
                let result = work();
                let time = began.elapsed();
                drop(result);
                time
            })
            .collect(),
    )
}

fn main() {
    let root = tempfile::tempdir().expect("a directory");
    let (data, many) = (root.path().join("data"), root.path().join("many"));
    std::fs::create_dir(&data).expect("a directory");
    std::fs::create_dir(&many).expect("a directory");
    for number in 0..MANY {
        std::fs::write(many.join(format!("{number}.wasm")), renamed(number)).expect("a file");
    }
    let (few, all) = (settings(&data, None), settings(&data, Some(&many)));

    let began = Instant::now();
    let sandbox = Sandbox::open(&all).expect("a sandbox");
    println!("start, {MANY} transforms seen for the first time  {:8.2} ms", began.elapsed().as_secs_f64() * 1e3);
    let with_few = measure(|| Sandbox::open(&few).expect("a sandbox"));
    // The other settings dropped the files from the index: add them again before the measurement.
    drop(Sandbox::open(&all).expect("a sandbox"));
    let with_many = measure(|| Sandbox::open(&all).expect("a sandbox"));
    println!("start, shipped transforms only              {:8.2} ms", with_few * 1e3);
    println!("start, {MANY} transforms more                    {:8.2} ms", (with_many - with_few) * 1e3);
    println!("the catalog again, nothing changed          {:8.2} ms", measure(|| sandbox.catalog()) * 1e3);

    let transform = Transform::from_bytes("mask", renamed(99_999), Origin::File).expect("a transform");
    let began = Instant::now();
    sandbox.start(&transform, &[None]).expect("a runner");
    println!("first use, compiled                         {:8.2} ms", began.elapsed().as_secs_f64() * 1e3);
    let fresh: Vec<_> = (0..TIMES).map(|_| Sandbox::open(&few).expect("a sandbox")).collect();
    let mut fresh = fresh.iter();
    let cached = measure(|| fresh.next().map(|sandbox| sandbox.start(&transform, &[None]).expect("a runner")));
    println!("first use, from the cache                   {:8.2} ms", cached * 1e3);
    println!(
        "further use                                 {:8.2} ms",
        measure(|| sandbox.start(&transform, &[None])) * 1e3
    );

    let rows: Vec<Vec<Value>> =
        (0..65_536).map(|number| vec![Value::Text(format!("person{number}@company{}.example", number % 97))]).collect();
    println!("\nmask_email, ns a row");
    for batch in [1, 16, 64, 128, 256, 512, 1024] {
        let mut runner = sandbox.start(&transform, &[None]).expect("a runner").with_batch(batch);
        let time = measure(|| runner.apply(&rows));
        println!("  batches of {batch:4}  {:8.1}", time * 1e9 / rows.len() as f64);
    }
}
