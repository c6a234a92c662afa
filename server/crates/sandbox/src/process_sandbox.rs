//! Confines the process that compiles foreign transforms to what compiling needs.
//!
//! The compiler is large, and its input is untrusted. If a bug in it gives the input control of the process, the
//! process can still only compute, read its standard input and write its standard output. It cannot open files, use the
//! network, start programs, send signals or make memory executable. Linux enforces this in two ways: seccomp, with a
//! list of allowed system calls (all others fail with `EPERM`), and Landlock, without any rule that allows access.
//! Neither needs privileges, and containers allow both.

/// Confines this process, which must have one thread.
///
/// Fails if the system does not support system call filters; the error says what is missing. Landlock is applied even
/// then, if the system supports it.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn confine() -> Result<(), String> {
    let landlock = linux::restrict_files_and_network();
    linux::restrict_system_calls().map_err(|error| match landlock {
        Ok(()) => format!("{error}; Landlock restricts files and network"),
        Err(missing) => format!("{error}; {missing}"),
    })
}

/// Other systems have no such mechanism that works without privileges.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(super) fn confine() -> Result<(), String> {
    Err("seccomp exists on Linux only, and is used on x86-64 and AArch64".to_owned())
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod linux {
    use std::collections::BTreeMap;

    use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        TargetArch,
    };

    /// System calls that are allowed with any arguments: memory, threads, time, exit.
    const ALLOWED: &[i64] = &[
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_clone3, // see `without_clone3`
        libc::SYS_close,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_fstat,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_madvise,
        libc::SYS_membarrier,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_nanosleep,
        libc::SYS_restart_syscall,
        libc::SYS_rseq,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_yield,
        libc::SYS_set_robust_list,
        libc::SYS_set_tid_address,
        libc::SYS_sigaltstack,
    ];

    /// Forbids opening, creating and changing files, network access, and signals to other processes. Fails if the
    /// kernel has no Landlock.
    pub(super) fn restrict_files_and_network() -> Result<(), String> {
        let restricted = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI::V5))
            .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(ABI::V5)))
            .and_then(|ruleset| ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal))
            .and_then(Ruleset::create)
            .and_then(landlock::RulesetCreated::restrict_self);
        match restricted {
            Ok(status) if status.ruleset != RulesetStatus::NotEnforced => Ok(()),
            Ok(_) => Err("this kernel has no Landlock".to_owned()),
            Err(error) => Err(format!("Landlock: {error}")),
        }
    }

    /// Allows only the system calls that compiling needs. Fails if the kernel has no seccomp.
    pub(super) fn restrict_system_calls() -> Result<(), String> {
        for program in [without_clone3()?, allowed_only()?] {
            // Apply it to all threads: an unconfined thread could act for the others.
            seccompiler::apply_filter_all_threads(&program).map_err(seccomp_error)?;
        }
        Ok(())
    }

    #[allow(clippy::needless_pass_by_value, reason = "`map_err` passes errors by value")]
    fn seccomp_error(error: impl std::fmt::Display) -> String {
        format!("seccomp: {error}")
    }

    fn architecture() -> TargetArch {
        if cfg!(target_arch = "aarch64") { TargetArch::aarch64 } else { TargetArch::x86_64 }
    }

    fn program(
        rules: BTreeMap<i64, Vec<SeccompRule>>,
        mismatch: SeccompAction,
        matched: SeccompAction,
    ) -> Result<BpfProgram, String> {
        SeccompFilter::new(rules, mismatch, matched, architecture())
            .and_then(BpfProgram::try_from)
            .map_err(|error| format!("seccomp: {error}"))
    }

    /// Makes `clone3` fail with `ENOSYS`, so that libraries use `clone` instead. A filter can read the flags of
    /// `clone`, but not those of `clone3`, which are in memory.
    fn without_clone3() -> Result<BpfProgram, String> {
        let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        program(rules, SeccompAction::Allow, SeccompAction::Errno(errno(libc::ENOSYS)))
    }

    fn allowed_only() -> Result<BpfProgram, String> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
        let is = |argument: u8, value: u64| condition(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
        let is_null = |argument: u8| condition(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0);
        let lacks = |argument: u8, bits: i32| masked(argument, bits, 0);
        let fd = |descriptor: u64| rule(vec![is(0, descriptor)?]);
        rules.insert(libc::SYS_read, vec![fd(0)?]);
        rules.insert(libc::SYS_write, vec![fd(1)?, fd(2)?]);
        rules.insert(libc::SYS_writev, vec![fd(1)?, fd(2)?]);
        // Anonymous memory only, never executable.
        let anonymous = masked(3, libc::MAP_ANONYMOUS, libc::MAP_ANONYMOUS)?;
        rules.insert(libc::SYS_mmap, vec![rule(vec![lacks(2, libc::PROT_EXEC)?, anonymous])?]);
        rules.insert(libc::SYS_mprotect, vec![rule(vec![lacks(2, libc::PROT_EXEC)?])?]);
        // New threads, but no new processes.
        rules.insert(libc::SYS_clone, vec![rule(vec![masked(0, libc::CLONE_THREAD, libc::CLONE_THREAD)?])?]);
        rules.insert(libc::SYS_prctl, vec![rule(vec![is(0, u64::from(libc::PR_SET_NAME.cast_unsigned()))?])?]);
        // Reading the limits of this process, not setting them.
        rules.insert(libc::SYS_prlimit64, vec![rule(vec![is(0, 0)?, is_null(2)?])?]);
        // Signals to this process, for `abort`.
        rules.insert(libc::SYS_tgkill, vec![rule(vec![is(0, u64::from(std::process::id()))?])?]);
        program(rules, SeccompAction::Errno(errno(libc::EPERM)), SeccompAction::Allow)
    }

    fn errno(number: i32) -> u32 {
        number.cast_unsigned()
    }

    fn condition(
        argument: u8,
        length: SeccompCmpArgLen,
        operator: SeccompCmpOp,
        value: u64,
    ) -> Result<SeccompCondition, String> {
        SeccompCondition::new(argument, length, operator, value).map_err(seccomp_error)
    }

    /// Returns the condition that these bits of an argument have the values in `value`.
    fn masked(argument: u8, bits: i32, value: i32) -> Result<SeccompCondition, String> {
        let operator = SeccompCmpOp::MaskedEq(u64::from(bits.cast_unsigned()));
        condition(argument, SeccompCmpArgLen::Dword, operator, u64::from(value.cast_unsigned()))
    }

    fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, String> {
        SeccompRule::new(conditions).map_err(seccomp_error)
    }
}

#[cfg(all(test, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use std::fmt::Write as _;
    use std::fs::{self, File, OpenOptions};
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::process::Command;

    use crate::process_sandbox::{confine, linux};

    /// Environment variable that is set in the confined process of a test.
    const CONFINED: &str = "TEST_CONFINED";

    /// Runs this test alone in a separate process and returns its output.
    fn run_confined(test: &str, part: &str) -> String {
        let output = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", &format!("process_sandbox::tests::{test}"), "--nocapture", "--test-threads=1"])
            .env(CONFINED, part)
            .output()
            .expect("the test runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        text
    }

    /// Tries to reach the system in many ways; returns the name and the outcome of each attempt.
    fn attempts(parent: u32) -> Vec<(&'static str, std::io::Result<()>)> {
        let done = |_| ();
        vec![
            ("read a file", File::open("/etc/passwd").map(done)),
            ("read a file of the process", File::open("/proc/self/environ").map(done)),
            ("create a file", OpenOptions::new().write(true).create_new(true).open("/tmp/confined").map(done)),
            ("list a directory", fs::read_dir("/").map(|_| ())),
            ("remove a file", fs::remove_file("/tmp/confined")),
            ("make a directory", fs::create_dir("/tmp/confined")),
            ("look at a file", fs::metadata("/etc/passwd").map(|_| ())),
            (
                "change the mode of a file",
                fs::set_permissions("/tmp", std::os::unix::fs::PermissionsExt::from_mode(0o777)),
            ),
            ("connect", TcpStream::connect("127.0.0.1:9").map(|_| ())),
            ("listen", TcpListener::bind("127.0.0.1:0").map(|_| ())),
            ("send a datagram", UdpSocket::bind("127.0.0.1:0").map(|_| ())),
            ("use a Unix socket", UnixStream::connect("/run/dbus").map(|_| ())),
            ("make a Unix socket", UnixDatagram::unbound().map(|_| ())),
            ("start a program", Command::new("/bin/true").status().map(|_| ())),
            ("become a program", Err(std::os::unix::process::CommandExt::exec(&mut Command::new("/bin/true")))),
            (
                "change the limits",
                rustix::process::setrlimit(
                    rustix::process::Resource::Core,
                    rustix::process::Rlimit { current: Some(0), maximum: Some(0) },
                )
                .map_err(Into::into),
            ),
            (
                "signal the parent",
                rustix::process::Pid::from_raw(parent.cast_signed())
                    .map_or(Ok(()), |parent| rustix::process::test_kill_process(parent).map_err(Into::into)),
            ),
            ("read the memory of the parent", fs::read(format!("/proc/{parent}/mem")).map(|_| ())),
        ]
    }

    #[test]
    fn a_confined_process_has_no_access_to_the_system() {
        if std::env::var_os(CONFINED).is_some() {
            let parent = std::os::unix::process::parent_id();
            confine().expect("this kernel has seccomp");
            let mut report = String::from("\n");
            for (what, outcome) in attempts(parent) {
                let outcome = match outcome {
                    Err(error) if error.kind() == ErrorKind::PermissionDenied => "refused".to_owned(),
                    other => format!("{other:?}"),
                };
                writeln!(report, "attempt to {what}: {outcome}").expect("writing to a string succeeds");
            }
            // Threads, memory and time are still available.
            let sum = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|number| scope.spawn(move || vec![number; 1 << 20].len())).collect();
                threads.into_iter().map(|thread| thread.join().expect("it computes")).sum::<usize>()
            });
            writeln!(report, "computed {sum}").expect("writing to a string succeeds");
            println!("{report}");
            return;
        }
        let text = run_confined("a_confined_process_has_no_access_to_the_system", "all");
        let attempts: Vec<&str> = text.lines().filter(|line| line.starts_with("attempt to ")).collect();
        assert_eq!(attempts.len(), 18, "{text}");
        for attempt in attempts {
            assert!(attempt.ends_with(": refused"), "{attempt}");
        }
        assert!(text.contains(&format!("computed {}", 4 << 20)), "{text}");
    }

    #[test]
    fn landlock_alone_refuses_files_and_network() {
        if std::env::var_os(CONFINED).is_some() {
            match linux::restrict_files_and_network() {
                Ok(()) => {
                    for (what, outcome) in [
                        ("read", File::open("/etc/passwd").map(|_| ())),
                        ("list", fs::read_dir("/").map(|_| ())),
                        ("start", Command::new("/bin/true").status().map(|_| ())),
                    ] {
                        let kind = outcome.err().map(|error| error.kind());
                        println!("attempt to {what}: {kind:?}");
                    }
                }
                Err(missing) => println!("skipped: {missing}"),
            }
            return;
        }
        let text = run_confined("landlock_alone_refuses_files_and_network", "landlock");
        if !text.contains("skipped: ") {
            assert_eq!(text.matches("Some(PermissionDenied)").count(), 3, "{text}");
        }
    }
}
