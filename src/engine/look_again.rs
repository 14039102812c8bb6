//! What has to be looked at again though it did not move itself: a parked record after what may have cured it, a child after
//! its parent, what was made inside something that is gone.

use super::{
    guard::Watch,
    native::readable_fields,
    run::{Engine, Options, RunKind, Schemas},
    standing::refers_to,
};
use crate::connectors::Fetched;
use crate::record::{Side, Sides};
use crate::rules::Mapping;
use crate::seeded::seeded;
use crate::store::{Nest, Store};

impl Engine<'_> {
    /// What has to be looked at again before anything is read.
    pub(super) fn prepare(&self, options: &Options, interrupted: bool) -> anyhow::Result<()> {
        // Noted at the end of a run: none noted means that no run came to its end with these.
        let rules_changed = self.store.meta("rules")?.is_none_or(|f| f != self.rules.fingerprint.to_string());
        if rules_changed {
            for (object, links) in self.store.linked_objects()?.into_iter().filter(|(o, _)| self.rules.mapping(o).is_none()) {
                tracing::warn!(object, links, "no longer in the rules: nothing of it is read or written, and its links stay as they are");
            }
        }
        let restored = self.store.restored()?.is_some();
        for mapping in &self.rules.mappings {
            let issued = mapping.provisions || matches!(mapping.object.as_str(), "license" | "feature");
            // A restored memory does not know what was deleted for good since: nothing is brought back.
            if options.kind == RunKind::Full && !issued && !restored {
                let cleared = self.store.clear_tombstones(&mapping.object)?;
                if cleared > 0 {
                    tracing::info!(object = %mapping.object, cleared, "tombstones cleared by the re-sync");
                }
            }
            if rules_changed || options.kind == RunKind::Full {
                self.store.wake_all(&mapping.object)?;
            } else if interrupted || options.approve {
                self.store.wake_waiting(&mapping.object)?;
            }
            if rules_changed {
                self.store.wake_quarantine(Some(&mapping.object), None)?;
                self.store.thaw(Some(&mapping.object), None, "rules", (self.clock)())?;
            }
        }
        Ok(())
    }

    /// What was parked may be cured by a field made longer, a right granted, a picklist value added: it is tried again when
    /// a side describes an object otherwise than before.
    pub(super) async fn wake_by_schema(&self, schemas: &Schemas) -> anyhow::Result<()> {
        for side in Side::BOTH {
            let resources: Vec<String> = schemas[side].keys().cloned().collect();
            let Ok(facts) = self.sides[side].facts(&resources).await else { continue };
            for mapping in &self.rules.mappings {
                let resource = if side == Side::Salesforce { &mapping.salesforce } else { &mapping.platform };
                let Some(schema) = schemas[side].get(resource) else { continue };
                let told = format!("{}{:?}", serde_json::to_string(schema)?, facts.get(resource));
                let print = crate::record::fields_hash(&told).to_string();
                let key = format!("schema:{side}:{}", mapping.object);
                match self.store.meta(&key)? {
                    Some(known) if known == print => continue,
                    Some(_) => {
                        let woken = self.store.wake_quarantine(Some(&mapping.object), None)?;
                        tracing::info!(object = %mapping.object, %side, woken, "{resource} is described otherwise than before");
                    }
                    None => {}
                }
                self.store.set_meta(&key, &print)?;
            }
        }
        Ok(())
    }

    /// Children wait for parents; what only one side had may now have a partner. Looked at from the run of the last look
    /// on: a parent may have come in a run in which the children had no turn.
    pub(super) fn wake(&self, run: i64, mapping: &Mapping, interrupted: bool) -> anyhow::Result<()> {
        if self.store.waiting(&mapping.object)? > 0 {
            let key = format!("woken:{}", mapping.object);
            let since = self.store.meta(&key)?.and_then(|r| r.parse().ok()).unwrap_or(0);
            let mut wake = interrupted;
            for parent in parents(mapping) {
                wake |= self.store.linked_in_run(parent, since)?;
            }
            if wake && !seeded!(NobodyWakes) {
                self.store.wake_waiting(&mapping.object)?;
                self.store.set_meta(&key, &run.to_string())?;
            }
        }
        if self.store.has_news(&mapping.object, Side::Platform)? {
            self.store.wake_unmatched(&mapping.object, (self.clock)())?;
        }
        Ok(())
    }

    /// A parked record is tried again when one it refers to is linked, changes, or is no longer parked itself. `wake` looks
    /// for such changes; without it only what was parked just now is noted.
    pub(super) fn look_at_parents(&self, run: i64, mapping: &Mapping, wake: bool) -> anyhow::Result<()> {
        const PAGE: u32 = 500;
        let (now, object) = ((self.clock)(), mapping.object.as_str());
        let mut rows = self.store.backing_off(object, None, PAGE, now)?;
        if rows.is_empty() {
            return Ok(());
        }
        if wake {
            let key = format!("parents-looked:{object}");
            let since = self.store.meta(&key)?.and_then(|r| r.parse().ok()).unwrap_or(0);
            let mut stirred = false;
            for parent in parents(mapping) {
                stirred |= self.store.stirred_since(parent, since)?;
            }
            self.store.set_meta(&key, &run.to_string())?;
            if !stirred {
                return Ok(());
            }
        }
        while let Some(last) = rows.last().cloned() {
            let mut noted = Vec::new();
            for mut row in rows.into_iter().filter(|row| wake || row.parents.is_none()) {
                let Some(pair) = self.store.pair_of_record(object, row.side, row.id.as_str())? else { continue };
                let mut wanted = Sides::default();
                super::decide::references(mapping, self.rules, &pair, &mut wanted);
                let before = row.parents.replace(self.store.fingerprint_of(&wanted)?);
                if before != row.parents {
                    noted.push((row, wake && before.is_some()));
                }
            }
            for (row, _) in noted.iter().filter(|(_, woken)| *woken) {
                tracing::info!(object, side = %row.side, record = %row.id, "a record it refers to changed: tried again");
            }
            self.store.note_parents(object, &noted)?;
            rows = self.store.backing_off(object, Some((last.side, last.id.as_str())), PAGE, now)?;
        }
        Ok(())
    }

    /// A product that got its license fields filled does not move the orders that wait for it, so these are read again.
    pub(super) async fn look_at_products_again(&self, run: i64, mapping: &Mapping, schemas: &Schemas) -> anyhow::Result<()> {
        if !mapping.provisions || !self.rules.products_from_product2 {
            return Ok(());
        }
        let parked = self.store.parked_with(&mapping.object, &["product-not-mapped", "product-without-code"])?;
        let pull = self.pull(run, Side::Salesforce, schemas);
        let fields = readable_fields(self.rules, mapping, Side::Salesforce, &schemas.salesforce[&mapping.salesforce]);
        for ids in parked.chunks(500) {
            match self.sides.salesforce.get_many(&mapping.salesforce, &fields, ids).await {
                Ok(found) => {
                    let here = found.into_iter().filter_map(|f| if let Fetched::Here(record) = f { Some(record) } else { None });
                    pull.stage(mapping, &here.collect::<Vec<_>>(), false)?;
                }
                Err(fault) => tracing::warn!(object = %mapping.object, "orders that wait for a product could not be read: {fault}"),
            }
        }
        Ok(())
    }

    /// Of records that cannot be without their parent: what went with it is made again with it, and a parent is made again for
    /// the news of its child. A re-sync makes everything again that is gone on the platform only. Never what was issued.
    pub(super) fn make_again(&self, run: i64, options: &Options, mapping: &Mapping, schemas: &Schemas) -> anyhow::Result<()> {
        let again = |m: &Mapping| m.create.on_platform() && !m.provisions && !matches!(m.object.as_str(), "order" | "license" | "feature");
        // A restored memory does not know what was deleted for good since: nothing is brought back.
        if !again(mapping) || self.store.restored()?.is_some() {
            return Ok(());
        }
        let object = mapping.object.as_str();
        let mut count = 0;
        let mut nested = |child: &str, parent: &str, with: fn(&Store, i64, &Nest<'_>) -> anyhow::Result<usize>| -> anyhow::Result<()> {
            let Some((salesforce, platform)) = refers_to(self.rules, child, parent) else { return Ok(()) };
            let schema = self.rules.mapping(child).and_then(|m| schemas.platform.get(&m.platform));
            let needed = platform.first().filter(|field| schema.is_some_and(|s| s.fields.get(*field).is_some_and(|f| f.required)));
            if let (Some(salesforce_field), Some(platform_field)) = (salesforce.first(), needed) {
                count += with(self.store, run, &Nest { child, parent, salesforce_field, platform_field })?;
            }
            Ok(())
        };
        for child in self.rules.mappings.iter().filter(|m| m.parent.as_deref() == Some(object) && again(m)) {
            nested(&child.object, object, Store::wake_parents_of_news)?;
        }
        if let Some(parent) = &mapping.parent {
            nested(object, parent, Store::made_again_with_parent)?;
        }
        if options.kind == RunKind::Full {
            count += self.store.made_again(run, object)?;
        }
        if count > 0 {
            tracing::info!(object, count, "gone on the platform, and to be made again");
        }
        Ok(())
    }

    /// Nothing of a first load is still to come: who waits now waits for a parent that did not come with the parents' own.
    pub(super) fn nobody_waits(&self, mapping: &Mapping, watch: &Watch<'_>) -> anyhow::Result<bool> {
        if self.store.waiting(&mapping.object)? == 0 {
            return Ok(true);
        }
        for parent in parents(mapping) {
            if self.rules.mapping(parent).is_some() && !watch.first_load_over(parent)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The objects whose links a record of this one may wait for.
fn parents(mapping: &Mapping) -> Vec<&str> {
    let mut parents: Vec<&str> = mapping.parent.iter().map(String::as_str).collect();
    parents.extend(mapping.entries.iter().flat_map(|e| e.lens.objects()).filter(|object| *object != mapping.object));
    if mapping.provisions {
        parents.extend(["account", "contact"]);
    }
    parents
}
