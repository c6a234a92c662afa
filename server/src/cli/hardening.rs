//! Protects the memory of this process, which contains keys, tokens and user data, from other processes.

/// Turns off core dumps, and prevents other processes of the same user from reading the memory (Linux).
///
/// The limit also applies to child processes. A failure is only reported: the process then runs without this
/// protection.
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
        // The limit does not apply to dumps that are piped to a program (core(5)), but this does. It also makes root
        // the owner of this process' files in /proc, so that no other process of this user can attach to it.
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            eprintln!("warning: the memory of this process cannot be protected: {error}");
        }
    }
}
