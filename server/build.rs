//! Files that are built into the binary: a new one must lead to a new build.

fn main() {
    for directory in ["assets", "templates"] {
        println!("cargo::rerun-if-changed={directory}");
    }
}
