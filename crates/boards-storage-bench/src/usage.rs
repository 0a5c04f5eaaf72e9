//! What a turn takes of the machine: processor time and memory of this process.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the processor time of this process so far, in its own code and in the kernel for it.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Lets the peak of memory begin anew. Where the system cannot, the peak is the process's.
#[expect(clippy::disallowed_methods, reason = "outside of what is measured")]
pub(crate) fn forget_peak() {
    // 5 is the peak of resident memory (Linux, since 4.0).
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Returns the peak of resident memory in MiB; none where the system does not tell.
#[expect(clippy::disallowed_methods, reason = "outside of what is measured")]
pub(crate) fn peak_mib() -> Option<f64> {
    parse_peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_peak(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kib) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::{cpu, parse_peak};

    #[test]
    fn the_peak_is_read_from_the_status() {
        assert_eq!(
            parse_peak("VmPeak:\t  9000 kB\nVmHWM:\t    2048 kB\nVmRSS: 1 kB\n"),
            Some(2.0)
        );
        assert_eq!(parse_peak("VmRSS:\t 2048 kB\n"), None);
        assert_eq!(parse_peak("VmHWM:\t many kB\n"), None);
    }

    #[test]
    fn processor_time_grows_with_work() {
        let begin = cpu();
        let mut sum = 0_u64;
        while cpu() == begin {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu() > begin);
    }
}
