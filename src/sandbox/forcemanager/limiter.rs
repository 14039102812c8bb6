//! The vendor's call limit: so many in one second, and if told so in sixty.
//!
//! Time is the virtual clock's. Refused calls do not count against the windows.

use std::collections::VecDeque;

use super::settings::Rate;

const SECOND_MS: i64 = 1_000;

#[derive(Debug, Default)]
pub struct Limiter {
    second: VecDeque<i64>,
    minute: VecDeque<i64>,
}

impl Limiter {
    /// Counts a call at `now` (milliseconds).
    ///
    /// # Errors
    /// In how many seconds, rounded up, the next one is welcome.
    pub fn admit(&mut self, rate: &Rate, now: i64) -> Result<(), i64> {
        let a_second = wait(&mut self.second, SECOND_MS, rate.per_second, now);
        let a_minute = rate.per_minute.map_or(0, |limit| wait(&mut self.minute, 60 * SECOND_MS, limit, now));
        match a_second.max(a_minute) {
            0 => {
                self.second.push_back(now);
                if rate.per_minute.is_some() {
                    self.minute.push_back(now);
                }
                Ok(())
            }
            wait => Err(wait),
        }
    }
}

/// Seconds until the window has room again; 0 = it has.
fn wait(window: &mut VecDeque<i64>, span: i64, limit: usize, now: i64) -> i64 {
    while window.front().is_some_and(|first| now - first >= span) {
        window.pop_front();
    }
    match window.front() {
        Some(first) if window.len() >= limit => ((first + span - now) + SECOND_MS - 1) / SECOND_MS,
        None if limit == 0 => span / SECOND_MS,
        Some(_) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_calls_in_a_second_and_the_window_rolls() {
        let (mut limiter, rate) = (Limiter::default(), Rate::default());
        for n in 0..4 {
            assert_eq!(limiter.admit(&rate, n * 100), Ok(()));
        }
        assert_eq!(limiter.admit(&rate, 999), Err(1));
        assert_eq!(limiter.admit(&rate, 1_000), Ok(()));
        assert_eq!(limiter.admit(&rate, 1_050), Err(1));
    }

    #[test]
    fn a_minute_has_its_own_limit() {
        let rate = Rate { per_second: 100, per_minute: Some(2), ..Rate::default() };
        let mut limiter = Limiter::default();
        assert_eq!(limiter.admit(&rate, 0), Ok(()));
        assert_eq!(limiter.admit(&rate, 10_000), Ok(()));
        assert_eq!(limiter.admit(&rate, 20_000), Err(40));
        assert_eq!(limiter.admit(&rate, 60_000), Ok(()));
    }
}
