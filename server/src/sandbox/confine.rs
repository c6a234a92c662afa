//! Takes from the process that compiles foreign transforms whatever compiling does not need.
//!
//! The compiler is large, and its input is hostile. Should a fault in it give the input control of the process,
//! then that process can still only compute, read its standard input and write its standard output: it opens no
//! file, has no network, starts no program, sends no signal and makes no memory executable. Linux enforces it in
//! two ways: seccomp, with a list of the system calls that are allowed (the others fail with `EPERM`), and
//! Landlock, with no rule at all. Neither needs privileges, and containers allow both.

/// Confines this process, which must have one thread. Fails with what is missing where the system does not offer
/// system call filters; Landlock alone, where there is that, is used all the same.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn confine() -> Result<(), String> {
    let landlock = linux::restrict_files_and_network();
    linux::restrict_system_calls().map_err(|error| match landlock {
        Ok(()) => format!("{error}; Landlock restricts files and network"),
        Err(missing) => format!("{error}; {missing}"),
    })
}

/// Other systems have nothing of the kind that works without privileges.
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

    /// System calls that are allowed whatever their arguments are: memory, threads, time, the end.
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

    /// No file can be opened, created or changed, no port bound or reached, no other process signalled.
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

    /// Only the system calls that compiling needs are left. Fails where the kernel has no seccomp.
    pub(super) fn restrict_system_calls() -> Result<(), String> {
        for program in [without_clone3()?, allowed_only()?] {
            // All threads: a thread that is left out would be a way around it.
            seccompiler::apply_filter_all_threads(&program).map_err(wrong)?;
        }
        Ok(())
    }

    #[allow(clippy::needless_pass_by_value, reason = "`map_err` passes errors by value")]
    fn wrong(error: impl std::fmt::Display) -> String {
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

    /// `clone3` takes its flags from memory, which no filter can read. As if the kernel did not know it, libraries
    /// use `clone` instead, whose flags a filter reads.
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
        // Memory that is not of a file, and never executable.
        let anonymous = masked(3, libc::MAP_ANONYMOUS, libc::MAP_ANONYMOUS)?;
        rules.insert(libc::SYS_mmap, vec![rule(vec![lacks(2, libc::PROT_EXEC)?, anonymous])?]);
        rules.insert(libc::SYS_mprotect, vec![rule(vec![lacks(2, libc::PROT_EXEC)?])?]);
        // Threads, no processes.
        rules.insert(libc::SYS_clone, vec![rule(vec![masked(0, libc::CLONE_THREAD, libc::CLONE_THREAD)?])?]);
        rules.insert(libc::SYS_prctl, vec![rule(vec![is(0, u64::from(libc::PR_SET_NAME.cast_unsigned()))?])?]);
        // Limits are read, of this process, and not set.
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
        SeccompCondition::new(argument, length, operator, value).map_err(wrong)
    }

    /// Of an argument, these bits are as in `value`.
    fn masked(argument: u8, bits: i32, value: i32) -> Result<SeccompCondition, String> {
        let operator = SeccompCmpOp::MaskedEq(u64::from(bits.cast_unsigned()));
        condition(argument, SeccompCmpArgLen::Dword, operator, u64::from(value.cast_unsigned()))
    }

    fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, String> {
        SeccompRule::new(conditions).map_err(wrong)
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

    /// Set where a test runs inside of the confinement.
    const INSIDE: &str = "TEST_CONFINED";

    /// Runs this test alone in a process of its own, and gives what it wrote.
    fn inside(test: &str, part: &str) -> String {
        let output = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", &format!("sandbox::confine::tests::{test}"), "--nocapture", "--test-threads=1"])
            .env(INSIDE, part)
            .output()
            .expect("the test runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        text
    }

    /// Each attempt by name, and whether the kernel refused it with the error for missing rights.
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
    fn a_confined_process_reaches_nothing() {
        if std::env::var_os(INSIDE).is_some() {
            let parent = std::os::unix::process::parent_id();
            super::confine().expect("this kernel has seccomp");
            let mut said = String::from("\n");
            for (what, outcome) in attempts(parent) {
                let outcome = match outcome {
                    Err(error) if error.kind() == ErrorKind::PermissionDenied => "refused".to_owned(),
                    other => format!("{other:?}"),
                };
                writeln!(said, "attempt to {what}: {outcome}").expect("a string takes it");
            }
            // Threads, memory and time are left.
            let sum = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|number| scope.spawn(move || vec![number; 1 << 20].len())).collect();
                threads.into_iter().map(|thread| thread.join().expect("it computes")).sum::<usize>()
            });
            writeln!(said, "computed {sum}").expect("a string takes it");
            println!("{said}");
            return;
        }
        let text = inside("a_confined_process_reaches_nothing", "all");
        let attempts: Vec<&str> = text.lines().filter(|line| line.starts_with("attempt to ")).collect();
        assert_eq!(attempts.len(), 18, "{text}");
        for attempt in attempts {
            assert!(attempt.ends_with(": refused"), "{attempt}");
        }
        assert!(text.contains(&format!("computed {}", 4 << 20)), "{text}");
    }

    #[test]
    fn landlock_alone_refuses_files_and_network() {
        if std::env::var_os(INSIDE).is_some() {
            match super::linux::restrict_files_and_network() {
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
        let text = inside("landlock_alone_refuses_files_and_network", "landlock");
        if !text.contains("skipped: ") {
            assert_eq!(text.matches("Some(PermissionDenied)").count(), 3, "{text}");
        }
    }
}
