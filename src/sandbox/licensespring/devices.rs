//! Devices: what a customer's installation does to a license, and the calls on a device.

use chrono::{DateTime, Days, Months, NaiveDate, Utc};
use serde_json::Value;

use super::check::{self, Changes};
use super::reply::Refusal;
use super::schema::Object;
use super::world::World;

impl World {
    /// A customer's installation activates: counters move, the license becomes active, its validity begins.
    ///
    /// # Errors
    /// 404, a disabled license, or one without activations left: shape C as the client-side API has it.
    pub fn activate(&mut self, license: i64, hardware_id: &str, hostname: &str) -> Result<i64, Refusal> {
        let row = self.need(Object::License, license)?;
        let used = row.int("times_activated").unwrap_or_default();
        if !row.flag("enabled") {
            return Err(Refusal::coded("license_not_enabled", "License is disabled."));
        }
        let known = self.device_of(license, hardware_id);
        let active = known.is_some_and(|id| self.row(Object::Device, id).is_some_and(|device| device.flag("device_active")));
        let most = row.int("max_activations").unwrap_or_default();
        if !active && !row.flag("allow_unlimited_activations") && used >= most {
            return Err(Refusal::coded("license_activation_max", "No activations are left."));
        }
        let first = row.get("time_activated").is_null();
        let ends = row.text("valid_duration").to_owned();
        let open_end = row.get("validity_period").is_null();
        let now = self.stored_now(Object::License);
        let device = known.unwrap_or_else(|| self.insert(Object::Device, Changes::new()));
        for (name, value) in [
            ("license", license.into()),
            ("hardware_id", hardware_id.into()),
            ("hostname", hostname.into()),
            ("os", "Linux".into()),
            ("device_active", true.into()),
            ("time_activated", now.into()),
            ("time_deactivated", Value::Null),
            ("last_check", now.into()),
        ] {
            self.set(Object::Device, device, name, value);
        }
        self.touch(Object::Device, device);
        if !active {
            self.set(Object::License, license, "times_activated", used + 1);
        }
        if first {
            self.set(Object::License, license, "time_activated", now);
        }
        if open_end && let Some(end) = self.today().and_then(|day| after(day, &ends)) {
            self.set(Object::License, license, "validity_period", end.to_string());
        }
        self.set(Object::License, license, "active", true);
        self.set(Object::License, license, "last_check", now);
        self.touch(Object::License, license);
        Ok(device)
    }

    fn device_of(&self, license: i64, hardware_id: &str) -> Option<i64> {
        let devices = self.linked(Object::Device, "license", license);
        devices.iter().copied().find(|id| self.row(Object::Device, *id).is_some_and(|device| device.text("hardware_id") == hardware_id))
    }

    /// `POST /devices/{id}/reset/`: the device off, the license's counter one down.
    ///
    /// # Errors
    /// 404.
    pub fn reset_device(&mut self, device: i64) -> Result<(), Refusal> {
        let row = self.need(Object::Device, device)?;
        let (license, was_active) = (row.int("license"), row.flag("device_active"));
        self.switch_device_off(device);
        if let Some(license) = license.filter(|_| was_active) {
            let used = self.row(Object::License, license).and_then(|row| row.int("times_activated")).unwrap_or_default();
            self.set(Object::License, license, "times_activated", (used - 1).max(0));
            self.acted(license);
        }
        Ok(())
    }

    /// `POST /devices/{id}/blacklist/`.
    ///
    /// # Errors
    /// 404.
    pub fn blacklist(&mut self, device: i64) -> Result<(), Refusal> {
        self.need(Object::Device, device)?;
        self.set(Object::Device, device, "blacklisted", true);
        self.switch_device_off(device);
        Ok(())
    }

    pub(super) fn switch_device_off(&mut self, device: i64) {
        if self.row(Object::Device, device).is_some_and(|row| row.flag("device_active")) {
            let now = self.stored_now(Object::Device);
            self.set(Object::Device, device, "device_active", false);
            self.set(Object::Device, device, "time_deactivated", now);
        }
        self.touch(Object::Device, device);
    }

    fn today(&self) -> Option<NaiveDate> {
        DateTime::<Utc>::from_timestamp_micros(self.now()).map(|now| now.date_naive())
    }
}

/// The day that lies a duration after `day`.
fn after(day: NaiveDate, duration: &str) -> Option<NaiveDate> {
    match check::parse_duration(duration)? {
        (n, 'd') => day.checked_add_days(Days::new(n.into())),
        (n, 'm') => day.checked_add_months(Months::new(n)),
        (n, _) => day.checked_add_months(Months::new(n.checked_mul(12)?)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{has, licensed};
    use super::*;

    #[test]
    fn activation_starts_the_license_and_reset_takes_it_back() {
        let (mut world, license, clock) = licensed();
        let device = world.activate(license, "hw-1", "cad-07").expect("an activation");
        world.activate(license, "hw-1", "cad-07").expect("the same device");
        world.activate(license, "hw-2", "cad-08").expect("the second");
        assert!(world.activate(license, "hw-3", "cad-09").is_err(), "two activations are all");
        let active =
            json!({"times_activated": 2, "active": true, "validity_period": "2027-01-05", "time_activated": "2026-01-05T00:00:00Z"});
        has(&world, Object::License, license, &active);
        world.consume(license, Some("render_min"), 5).expect("consumption");
        world.consume(license, None, 6).expect("consumption");
        clock.advance(chrono::Duration::hours(1));
        world.wake();
        world.reset_license(license).expect("a reset");
        has(
            &world,
            Object::License,
            license,
            &json!({"times_activated": 0, "total_consumptions": 0, "updated_at": "2026-01-05T01:00:00Z"}),
        );
        has(&world, Object::Device, device, &json!({"device_active": false, "time_deactivated": "2026-01-05T01:00:00Z"}));
        assert!(world.rows(Object::LicenseFeature).iter().all(|row| row["total_consumptions"] == 0));
        world.settings.reset_unused_rejected = true;
        assert_eq!(world.reset_license(license).expect_err("nothing to reset").status(), 400);
    }

    #[test]
    fn a_device_alone_can_be_reset() {
        let (mut world, license, _) = licensed();
        let device = world.activate(license, "hw-1", "cad-07").expect("an activation");
        world.reset_device(device).expect("a reset");
        has(&world, Object::License, license, &json!({"times_activated": 0}));
        world.reset_device(device).expect("again");
        has(&world, Object::License, license, &json!({"times_activated": 0}));
        world.blacklist(device).expect("a blacklisting");
        has(&world, Object::Device, device, &json!({"blacklisted": true, "device_active": false}));
    }

    #[test]
    fn durations_are_calendar_time() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        for (from, duration, to) in
            [("2026-01-31", "1m", "2026-02-28"), ("2024-02-29", "1y", "2025-02-28"), ("2026-12-31", "1d", "2027-01-01")]
        {
            assert_eq!(after(day(from), duration), Some(day(to)), "{from} + {duration}");
        }
        assert_eq!(after(day("2026-01-01"), ""), None);
        assert_eq!(after(day("2026-01-01"), "4000000000y"), None);
    }
}
