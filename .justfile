# Shortcuts for what docs/CONTRIBUTING.md describes. `just --list` shows them; https://just.systems installs the tool.

# Format and lint what changed, and run the quick tests.
default: format lint unit

format:
    cargo fmt --all

lint:
    cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

# Unit tests, optionally only those whose name contains FILTER.
unit *FILTER:
    cargo test --locked --workspace --lib {{FILTER}}

# Tests of the HTTP API inside one process.
http *FILTER:
    cargo test --locked --workspace --test http {{FILTER}}

# Tests with the real binary and a real browser.
e2e *FILTER:
    cargo test --locked --workspace --test e2e {{FILTER}}

# Format, lint, types and unit tests of the pages' scripts. Needs Node 20.19 or newer.
front-end:
    tests/front-end/run

# Everything a plain machine can run: the README's command.
test:
    cargo test --locked --workspace

# Fuzz one target on stable for so many seconds.
fuzz TARGET SECONDS="60":
    FUZZ_TIME={{SECONDS}} cargo test --locked --workspace --test corpus {{TARGET}}

# Accept new snapshots, and generate documents that tests compare with the code. Read the diff afterwards.
bless:
    INSTA_UPDATE=always cargo test --locked --workspace --test http
    UPDATE_DOCUMENTS=1 cargo test --locked --workspace --test documents

# The product with a simulated tenant, without an optimized build.
demo *ARGUMENTS:
    cargo run --locked -- demo {{ARGUMENTS}}

# Rebuild the shipped transforms and their checksums.
transforms:
    transforms/rebuild

# Everything that must hold before a change lands.
ci:
    .ci/run

# One step of it; without a name, their list.
step *NAME:
    .ci/step {{NAME}}

# Which lines the unit and HTTP tests run: target/coverage/html/index.html.
coverage:
    .ci/step coverage
