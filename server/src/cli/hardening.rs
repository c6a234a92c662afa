//! Keeps the memory of this process, which holds keys, tokens and users' data, from others.

/// Turns off core dumps, and keeps other processes of the same user from reading the memory (Linux).
///
/// The limit holds for processes that this one starts, too. A failure is no reason not to start: it is
/// what the process would be like without this.
pub(super) fn protect_memory() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        if let Err(error) = setrlimit(Resource::Core, none) {
            eprintln!("warning: core dumps cannot be turned off: {error}");
        }
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // The limit does not hold for dumps that are piped to a program (core(5)); this does. It also makes root the
        // owner of this process' files in /proc, so that no other process of this user can attach to it.
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            eprintln!("warning: the memory of this process cannot be protected: {error}");
        }
    }
}
