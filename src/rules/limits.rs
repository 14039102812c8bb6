//! What one run may do unasked.

/// `max(count, percent of what is there)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub count: u64,
    pub percent: u64,
}

impl Limit {
    #[must_use]
    pub fn ceiling(self, of: u64) -> u64 {
        self.count.max(of.saturating_mul(self.percent) / 100)
    }
}

/// Per object, side and verb, in one run and in any 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub creates: Limit,
    pub changes: Limit,
    /// Deletes and tombstones: whatever takes something away.
    pub destructive: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            creates: Limit { count: 100, percent: 20 },
            changes: Limit { count: 500, percent: 30 },
            destructive: Limit { count: 10, percent: 10 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_of_count_and_percent_is_the_ceiling() {
        let limit = Limit { count: 100, percent: 20 };
        assert_eq!(limit.ceiling(0), 100);
        assert_eq!(limit.ceiling(500), 100);
        assert_eq!(limit.ceiling(10_000), 2_000);
    }
}
