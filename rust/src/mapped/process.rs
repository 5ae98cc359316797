//! Who holds a place, and whether it still lives.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// A process number fits in 22 bits on Linux (`PID_MAX_LIMIT`).
const PID_BITS: u32 = 22;

/// Bits of the start time, which comes in hundredths of a second: seven days until a number could be mistaken.
const START_BITS: u32 = 26;

/// A process: its number and when it started, in 48 bits, never zero. The number alone would not do: in a container
/// that was started anew, the new worker has the number of the dead one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(pub(crate) u64);

impl Process {
    /// This process. It must not fork afterwards, since the child would pass for its parent.
    pub(crate) fn current() -> Self {
        Self::of(std::process::id())
    }

    /// The process that has this number now.
    pub(crate) fn of(pid: u32) -> Self {
        Self::new(pid, read_stat(pid).map_or(0, |stat| stat.start))
    }

    fn new(pid: u32, start: u64) -> Self {
        Self((u64::from(pid) & mask(PID_BITS)) | ((start & mask(START_BITS)) << PID_BITS))
    }

    /// Does it live? When in doubt, yes: a place that is held for too long is better than one that is given twice.
    pub(crate) fn is_alive(self) -> bool {
        let number = self.0 & mask(PID_BITS);
        let Some(pid) = i32::try_from(number).ok().and_then(Pid::from_raw) else { return false };
        if test_kill_process(pid) == Err(Errno::SRCH) {
            return false;
        }
        let stat = u32::try_from(number).ok().and_then(read_stat);
        stat.is_none_or(|stat| !stat.is_dead && (stat.start & mask(START_BITS)) == self.0 >> PID_BITS)
    }
}

struct Stat {
    /// Ended, but its parent has not asked how.
    is_dead: bool,
    start: u64,
}

/// What Linux tells about a process; none elsewhere.
fn read_stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything; the state is the third of proc(5)
    // and the start the 22nd.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X");
    Some(Stat { is_dead, start: fields.nth(18)?.parse().ok()? })
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Process, read_stat};

    #[test]
    fn this_process_lives() {
        assert!(Process::current().is_alive());
        assert_ne!(Process::current(), Process(0));
    }

    #[test]
    fn one_that_ended_is_dead_before_and_after_its_parent_has_asked() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::new(child.id(), read_stat(child.id()).map_or(0, |stat| stat.start));
        assert!(process.is_alive());
        child.kill().unwrap();
        while cfg!(target_os = "linux") && process.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!process.is_alive());
    }

    #[test]
    fn a_later_process_of_the_same_number_is_another_one() {
        let (pid, Some(stat)) = (std::process::id(), read_stat(std::process::id())) else { return };
        assert!(!Process::new(pid, stat.start + 1).is_alive());
    }

    #[test]
    fn numbers_that_no_process_can_have_are_dead() {
        assert!(!Process(0).is_alive());
    }
}
