//! The beginning of a run: who is on either side, and what we may see and write there.

use super::{
    native::{LINES, native_fields},
    run::{Engine, Schemas, Tally, Trouble},
};
use crate::connectors::{Fault, FieldInfo, Identity, Schema};
use crate::record::{FieldType, Side, Sides};
use crate::rules::Mapping;
use std::collections::BTreeMap;

impl Engine<'_> {
    /// Both sides say who they are and what we may see there; a dead side does not stop the other from being read.
    pub(super) async fn meet(&self, run: i64, tally: &mut Tally) -> anyhow::Result<Option<Schemas>> {
        let mut identities: Sides<Option<Identity>> = Sides::default();
        for side in Side::BOTH {
            match self.sides[side].identity().await {
                Ok(identity) => identities[side] = Some(self.pinned(side, identity)?),
                Err(fault) => tally.fault(side, fault),
            }
        }
        if let (Some(salesforce), Some(platform)) = (&identities.salesforce, &identities.platform)
            && salesforce.is_sandbox
            && !platform.is_sandbox
            && !self.allow_mixed
        {
            return Err(Trouble::Mixed { org: salesforce.name.clone(), platform: platform.name.clone() }.into());
        }
        let mut schemas: Sides<Option<BTreeMap<String, Schema>>> = Sides::default();
        for side in Side::BOTH.into_iter().filter(|s| identities[*s].is_some()) {
            match self.schemas(side).await {
                Ok(schema) => schemas[side] = Some(schema),
                Err(fault) => tally.fault(side, fault),
            }
        }
        match (schemas.salesforce, schemas.platform) {
            (Some(salesforce), Some(platform)) => Ok(Some(Sides::new(salesforce, platform))),
            (salesforce, platform) => {
                let alive = Sides::new(salesforce.unwrap_or_default(), platform.unwrap_or_default());
                for side in Side::BOTH.into_iter().filter(|s| !alive[*s].is_empty()) {
                    let mappings: Vec<&Mapping> = self.rules.mappings.iter().collect();
                    self.unless_stopped(self.pull(run, side, &alive).read(&mappings, false, false)).await??;
                }
                Ok(None)
            }
        }
    }

    /// Who is behind the credentials is pinned at first contact; a side that does not say is not pinned.
    fn pinned(&self, side: Side, identity: Identity) -> anyhow::Result<Identity> {
        if !identity.id.is_empty()
            && let Some(pinned) = self.store.pin(&format!("identity:{side}"), &identity.id)?
        {
            return Err(Trouble::Identity { side, pinned, found: identity.id }.into());
        }
        Ok(identity)
    }

    async fn schemas(&self, side: Side) -> Result<BTreeMap<String, Schema>, Fault> {
        let resources: Vec<String> = self
            .rules
            .mappings
            .iter()
            .map(|m| match side {
                Side::Salesforce => m.salesforce.clone(),
                Side::Platform => m.platform.clone(),
            })
            .collect();
        let mut schemas = self.sides[side].schema(&resources).await?;
        for mapping in &self.rules.mappings {
            self.complete(side, mapping, &mut schemas);
            self.name_frozen(side, mapping, &schemas);
        }
        Ok(schemas)
    }

    /// Names that no describe lists: parent fields, the lines of an order, free metadata.
    fn complete(&self, side: Side, mapping: &Mapping, schemas: &mut BTreeMap<String, Schema>) {
        let resource = match side {
            Side::Salesforce => &mapping.salesforce,
            Side::Platform => &mapping.platform,
        };
        let free = self.sides[side].catalogue().resource(resource).and_then(|r| r.free_prefix);
        let Some(schema) = schemas.get_mut(resource) else { return };
        // A side may say under the prefix itself what all fields below it are.
        let alike = free.and_then(|prefix| schema.fields.get(prefix)).cloned();
        for name in native_fields(self.rules, mapping, side) {
            let (ty, writable) = match side {
                Side::Salesforce if name == LINES => (FieldType::Rows, false),
                Side::Salesforce if name.contains('.') => (FieldType::text(), false),
                _ if free.is_some_and(|p| name.starts_with(p)) => (FieldType::text(), true),
                _ => continue,
            };
            if let (Some(alike), true) = (&alike, free.is_some_and(|p| name.starts_with(p))) {
                schema.fields.entry(name).or_insert(alike.clone());
                continue;
            }
            schema.fields.entry(name).or_insert(FieldInfo {
                ty,
                createable: writable,
                updateable: writable,
                required: false,
                secret: false,
                calculated: false,
            });
        }
    }

    /// Mapped fields that may not be read take no part; the log says which.
    fn name_frozen(&self, side: Side, mapping: &Mapping, schemas: &BTreeMap<String, Schema>) {
        let resource = match side {
            Side::Salesforce => &mapping.salesforce,
            Side::Platform => &mapping.platform,
        };
        let Some(schema) = schemas.get(resource) else { return };
        for field in native_fields(self.rules, mapping, side).iter().filter(|f| !schema.fields.contains_key(*f)) {
            tracing::warn!(object = %mapping.object, %side, field, "{resource}.{field} is not there or may not be read: frozen; `lockstep check --online` says what to fix");
        }
    }
}
