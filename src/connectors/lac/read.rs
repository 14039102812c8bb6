//! Reading whole resources. There is no filter for what changed, so every reading is a sweep, and what it did not show is
//! only suspected gone.
//!
//! Whether the rows of `GET /customers` show all of a customer is not published: a row that lacks what is asked for, though no
//! other row of a list ever showed it, is read by its id instead of being taken for empty.

use super::Lac;
use super::catalogue::{CATALOGUE, CONTACT, CUSTOMER, LICENSE, ORDER};
use super::known::Part;
use super::list::{Key, Row, Walk, by_id, row_id};
use super::row::{Reading, by_activation_key, contacts_of, needed};
use super::tags::{PREFIX, SF_ID, field_of, tags_of};
use super::whole::claimed;
use super::wire::Trouble;
use crate::connectors::http::Counted;
use crate::connectors::{Ask, Fault, FaultKind, Page, Polled, ReadEnd, ResourceSpec};
use crate::record::Record;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// The list a resource is read from, and what tells its rows apart.
pub fn list_of(resource: &str) -> (&'static str, Key) {
    match resource {
        ORDER => ("/license-orders", by_activation_key),
        LICENSE => ("/licenses", by_id),
        _ => ("/customers", by_id),
    }
}

impl Lac {
    pub(super) async fn read_all(&self, asks: &[Ask], pages: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
        let sent = AtomicBool::new(false);
        let mut polled = Vec::with_capacity(asks.len());
        // One connection: one after the other.
        for ask in asks {
            polled.push(Polled { object: ask.object.clone(), end: self.read_ask(ask, &pages, &sent).await });
        }
        let failed = polled.iter().filter_map(|p| p.end.as_ref().err()).filter(|f| f.kind != FaultKind::Setup).count();
        match polled.iter().find_map(|p| p.end.as_ref().err()) {
            Some(fault) if failed == polled.len() && !sent.load(Ordering::Relaxed) => Err(fault.clone()),
            _ => Ok(polled),
        }
    }

    async fn read_ask(&self, ask: &Ask, pages: &mpsc::Sender<Page>, sent: &AtomicBool) -> Result<ReadEnd, Fault> {
        let Some(resource) = CATALOGUE.resource(&ask.resource) else {
            return Err(Fault::new(FaultKind::Setup, "no-such-resource", format!("LAC has no resource {:?}", ask.resource)));
        };
        let complete = self.sweep(ask, resource, pages, sent).await;
        let complete = complete.map_err(|trouble| trouble.into_fault(&format!("the list {}", list_of(resource.name).0)))?;
        Ok(ReadEnd { watermark: None, complete })
    }

    async fn sweep(
        &self,
        ask: &Ask,
        resource: &'static ResourceSpec,
        pages: &mpsc::Sender<Page>,
        sent: &AtomicBool,
    ) -> Result<bool, Trouble> {
        if resource.name == CUSTOMER {
            // Whoever created the missing tag since does not want to be told again.
            self.lift_halt();
        }
        let (path, key) = list_of(resource.name);
        let mut walk = Walk::new(&self.wire, Counted::Data, path, Vec::new(), key);
        let mut about = About::default();
        let (mut unread, mut unmapped) = (0, BTreeSet::new());
        while let Some(rows) = walk.page().await? {
            let rows = self.whole_rows(rows, &needed(resource.name, &ask.fields)).await?;
            let mut records: Vec<Record> = Vec::with_capacity(rows.len());
            for row in &rows {
                if resource.name == CUSTOMER {
                    about.take(row);
                    unmapped.extend(unmapped_tags(row, &ask.fields));
                }
                match self.records(resource, row, &ask.fields) {
                    Some(some) => records.extend(some),
                    None => unread += 1,
                }
                self.note(resource.name, row);
            }
            if !records.is_empty() {
                sent.store(true, Ordering::Relaxed);
                let gone = |_| Trouble::Fault(Fault::new(FaultKind::Retry, "cancelled", "the reader of the pages went away"));
                pages.send(Page { object: ask.object.clone(), records }).await.map_err(gone)?;
            }
        }
        if resource.name == CUSTOMER {
            self.learn(about, &unmapped);
        }
        if unread > 0 {
            tracing::warn!(object = %ask.object, unread, "rows without an id, or without their contacts: nothing counts as gone from the list");
        }
        Ok(walk.complete && unread == 0)
    }

    /// The records in a row: one, but for contacts as many as the customer has. `None`: the row does not show them all.
    pub(super) fn records(&self, resource: &ResourceSpec, row: &Row, wanted: &[String]) -> Option<Vec<Record>> {
        let reading = Reading { zone: self.zone, whole: true };
        match resource.name {
            CUSTOMER => reading.customer(resource, row, wanted).map(|r| vec![r]),
            CONTACT => {
                let customer = row_id(row)?;
                // Where no customer ever showed any, it is not known that there are none.
                let people = match row.contains_key("Contacts") {
                    true => contacts_of(row)?,
                    false if self.contacts_shown.load(Ordering::Relaxed) => Vec::new(),
                    false => return None,
                };
                people.into_iter().map(|contact| reading.contact(resource, customer, contact, wanted)).collect()
            }
            ORDER => reading.order(resource, row, wanted).map(|r| vec![r]),
            LICENSE => reading.license(resource, row, wanted).map(|r| vec![r]),
            _ => None,
        }
    }

    pub(super) fn note(&self, resource: &str, row: &Row) {
        match resource {
            CUSTOMER => self.known.note(Part::Customer, row),
            CONTACT => self.known.note(Part::Contacts, row),
            _ => {}
        }
    }

    /// Rows that show these members. A row that lacks one is completed by its own record unless lists are known to show it
    /// where there is something to show; one that is gone by then is left out.
    pub(super) async fn whole_rows(&self, rows: Vec<Row>, needed: &[&'static str]) -> Result<Vec<Row>, Trouble> {
        let lacks: Vec<bool> = {
            let mut shown = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            self.contacts_shown.fetch_or(rows.iter().any(|row| row.contains_key("Contacts")), Ordering::Relaxed);
            shown.extend(needed.iter().copied().filter(|name| rows.iter().any(|row| row.contains_key(*name))));
            rows.iter().map(|row| needed.iter().any(|name| !row.contains_key(*name) && !shown.contains(name))).collect()
        };
        let mut whole = Vec::with_capacity(rows.len());
        for (row, lacks) in rows.into_iter().zip(lacks) {
            match row_id(&row).filter(|_| lacks) {
                None => whole.push(row),
                Some(id) => match self.customer(id).await {
                    Ok(row) => whole.push(row),
                    Err(Trouble::Missing) => {}
                    Err(trouble) => return Err(trouble),
                },
            }
        }
        Ok(whole)
    }

    fn learn(&self, about: About, unmapped: &BTreeSet<String>) {
        let About { claims, tags, twice } = about;
        let doubles: HashMap<i64, String> = claims
            .into_iter()
            .filter(|(_, ids)| ids.len() > 1)
            .flat_map(|(sf_id, ids)| {
                let all = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
                tracing::warn!(customers = %all, sf_id, "several customers carry one Salesforce id: none of them is written");
                ids.into_iter().map(move |id| (id, format!("customers {all} all carry the Salesforce id {sf_id}")))
            })
            .collect();
        *self.doubles.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = doubles;
        self.tags.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(tags);
        if !unmapped.is_empty() {
            let lines: Vec<String> = unmapped.iter().filter_map(|t| Some(format!("{} = \"{PREFIX}{t}\"", field_of(t)?))).collect();
            tracing::warn!("custom tags that no rule maps are left alone; [objects.account.fields] would take: {}", lines.join(", "));
        }
        if !twice.is_empty() {
            let tags = twice.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            tracing::warn!("custom tags that stand in two spellings on one customer, of which the full one counts: {tags}");
        }
    }
}

/// What a sweep of the customers shows beside its records.
#[derive(Default)]
struct About {
    claims: BTreeMap<String, BTreeSet<i64>>,
    tags: BTreeSet<String>,
    twice: BTreeSet<String>,
}

impl About {
    fn take(&mut self, row: &Row) {
        if let (Some(id), Some(sf_id)) = (row_id(row), claimed(row)) {
            self.claims.entry(sf_id).or_default().insert(id);
        }
        let tags = tags_of(row).unwrap_or_default();
        let mut fields = BTreeSet::new();
        for (name, _) in &tags {
            if field_of(name).is_some_and(|field| !fields.insert(field)) {
                self.twice.insert((*name).to_owned());
            }
            self.tags.insert((*name).to_owned());
        }
    }
}

/// Tags that are called after a Salesforce field and are not asked for, in either spelling.
fn unmapped_tags(row: &Row, wanted: &[String]) -> Vec<String> {
    let mapped: BTreeSet<String> = wanted.iter().filter_map(|w| field_of(w.strip_prefix(PREFIX)?)).collect();
    let named = tags_of(row).unwrap_or_default().into_iter().map(|(name, _)| name);
    let ours = named.filter(|name| name.starts_with("SF_") && *name != SF_ID);
    ours.filter(|name| field_of(name).is_some_and(|field| !mapped.contains(&field))).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn row(tags: &[&str]) -> Row {
        let tags: Vec<_> = tags.iter().map(|n| json!({"tag_name": n, "value": "x"})).collect();
        json!({"id": "1", "CustomTags": tags}).as_object().unwrap().clone()
    }

    #[test]
    fn t3_a_tag_that_no_rule_takes_is_named_and_left_alone() {
        let wanted = ["name", "tag.SF_Id", "tag.SF_Currency__c", "tag.SF_Tier_c"].map(str::to_owned);
        let tags = row(&["SF_Id", "SF_Currency_c", "SF_Tier__c", "SF_Region__c", "vat_number", "SF_"]);
        assert_eq!(unmapped_tags(&tags, &wanted), ["SF_Region__c"]);
    }

    #[test]
    fn t2_two_spellings_on_one_customer_are_noticed() {
        let mut about = About::default();
        about.take(&row(&["SF_Tier_c", "SF_Tier__c", "SF_Region__c", "vat_number"]));
        about.take(&row(&["SF_Region_c"]));
        assert_eq!(about.twice.iter().collect::<Vec<_>>(), ["SF_Tier__c"]);
        assert_eq!(about.tags.len(), 5);
    }
}
