//! The vendor's call limits: 60 rolling seconds of the whole company, one second of a key, ten seconds of an address.
//!
//! Time is the virtual clock's. Refused calls do not count against the windows.

use std::collections::{HashMap, VecDeque};

use super::settings::Rate;

const SECOND: i64 = 1_000_000;

#[derive(Debug, Default)]
pub struct Limiter {
    company: VecDeque<i64>,
    keys: HashMap<String, VecDeque<i64>>,
    addresses: HashMap<String, VecDeque<i64>>,
}

impl Limiter {
    /// Counts a call at `now` (microseconds), or says in how many seconds the next one is welcome.
    pub fn admit(&mut self, rate: &Rate, now: i64, key: &str, address: &str) -> Result<(), i64> {
        let company_limit = rate.per_minute.unwrap_or_else(|| rate.plan.per_minute());
        let by_key = self.keys.entry(key.to_owned()).or_default();
        let by_address = self.addresses.entry(address.to_owned()).or_default();
        let waits = [
            wait(&mut self.company, 60, company_limit, now),
            wait(by_key, 1, rate.per_key_second, now),
            wait(by_address, 10, rate.per_ip_ten_seconds, now),
        ];
        match waits.into_iter().max() {
            Some(wait) if wait > 0 => Err(wait),
            _ => {
                for window in [&mut self.company, by_key, by_address] {
                    window.push_back(now);
                }
                Ok(())
            }
        }
    }
}

/// Seconds until the window has room again; 0 = it has.
fn wait(window: &mut VecDeque<i64>, seconds: i64, limit: usize, now: i64) -> i64 {
    let span = seconds * SECOND;
    while window.front().is_some_and(|first| now - first >= span) {
        window.pop_front();
    }
    match window.front() {
        Some(first) if window.len() >= limit => ((first + span - now) + SECOND - 1) / SECOND,
        None if limit == 0 => seconds,
        Some(_) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_fifty_calls_in_a_second_and_they_come_back() {
        let (mut limiter, rate) = (Limiter::default(), Rate::default());
        for n in 0..50 {
            assert_eq!(limiter.admit(&rate, n, "k", "a"), Ok(()));
        }
        assert_eq!(limiter.admit(&rate, 50, "k", "a"), Err(1));
        assert_eq!(limiter.admit(&rate, 50, "other", "a"), Ok(()));
        assert_eq!(limiter.admit(&rate, SECOND, "k", "a"), Ok(()));
    }

    #[test]
    fn the_company_window_is_shared_by_all_keys_and_rolls() {
        let rate = Rate { per_minute: Some(3), ..Rate::default() };
        let mut limiter = Limiter::default();
        for n in 0..3 {
            assert_eq!(limiter.admit(&rate, n * 10 * SECOND, &n.to_string(), "a"), Ok(()));
        }
        assert_eq!(limiter.admit(&rate, 21 * SECOND, "x", "b"), Err(39));
        assert_eq!(limiter.admit(&rate, 60 * SECOND, "x", "b"), Ok(()));
        assert_eq!(limiter.admit(&rate, 60 * SECOND, "x", "b"), Err(10));
    }

    #[test]
    fn an_address_has_two_hundred_in_ten_seconds() {
        let (mut limiter, rate) = (Limiter::default(), Rate::default());
        for n in 0..200 {
            assert_eq!(limiter.admit(&rate, 0, &(n / 50).to_string(), "a"), Ok(()));
        }
        assert_eq!(limiter.admit(&rate, 2 * SECOND, "z", "a"), Err(8));
        assert_eq!(limiter.admit(&rate, 2 * SECOND, "z", "b"), Ok(()));
    }
}
