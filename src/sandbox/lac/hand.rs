//! What a person does in the LAC screens: seeding, edits, deletions, tags and their definitions, activations.
//!
//! A person may leave a contact without a name and write any e-mail address, and what is not touched stays. Stamps move as
//! for calls. From Rust here, as JSON in `edit`.

use serde_json::{Map, Value, json};

use super::check::int;
use super::customer::{Contact, Customer, Moved, Tag};
use super::order::License;
use super::reply::Refusal;
use super::settings::Settings;
use super::world::World;

impl World {
    /// The switches of calls, but for what a person is free to do.
    pub(super) fn by_hand<T>(&mut self, edit: impl FnOnce(&mut World) -> T) -> T {
        self.wake();
        let switches = self.settings.clone();
        self.settings = Settings {
            patch_without_field: "keep".into(),
            patch_without_array: "keep".into(),
            contact_name_required: false,
            email_check: false,
            read_only_ignored: false,
            unknown_fields_ignored: false,
            ..switches.clone()
        };
        let done = edit(self);
        self.settings = switches;
        done
    }

    /// A customer; `name` is needed. May have `Contacts` and `CustomTags`.
    ///
    /// # Errors
    /// Fields that do not exist or do not validate; a tag that is not defined.
    pub fn add_customer(&mut self, fields: &Value) -> Result<i64, Refusal> {
        self.by_hand(|world| world.create_customer(fields))
    }

    /// Changes the given fields of a customer.
    ///
    /// # Errors
    /// 404, and as [`World::add_customer`].
    pub fn update_customer(&mut self, id: i64, fields: &Value) -> Result<(), Refusal> {
        let mut body = object(fields)?.clone();
        let name = self.customer(id)?.text("name").to_owned();
        body.entry("name").or_insert(name.into());
        self.by_hand(|world| world.patch_customer(id, &body.into()))
    }

    /// A contact of a customer; returns its id.
    ///
    /// # Errors
    /// 404.
    pub fn add_contact(&mut self, customer: i64, name: &str, email: &str) -> Result<i64, Refusal> {
        self.wake();
        let (id, now) = (self.next_contact, self.now());
        let contact = Contact { id, name: name.into(), email: email.into(), created: now, updated: now };
        self.touch(customer, Moved { contacts: true, ..Moved::default() })?.contacts.push(contact);
        self.next_contact += 1;
        Ok(id)
    }

    /// Changes `name` or `email` of a contact.
    ///
    /// # Errors
    /// 404; other fields.
    pub fn update_contact(&mut self, id: i64, fields: &Value) -> Result<(), Refusal> {
        self.wake();
        let now = self.now();
        let fields = object(fields)?;
        if let Some(name) = fields.keys().find(|name| !["name", "email"].contains(&name.as_str())) {
            return Err(Refusal::invalid(format!("contact: {name} cannot be written")));
        }
        let home = self.home(id)?;
        let row = self.touch(home, Moved { contacts: true, ..Moved::default() })?;
        for contact in row.contacts.iter_mut().filter(|contact| contact.id == id) {
            contact.name = fields.get("name").unwrap_or(&contact.name).clone();
            contact.email = fields.get("email").unwrap_or(&contact.email).clone();
            contact.updated = now;
        }
        Ok(())
    }

    /// Removes a contact; its customer stays.
    ///
    /// # Errors
    /// 404.
    pub fn delete_contact(&mut self, id: i64) -> Result<(), Refusal> {
        self.wake();
        let home = self.home(id)?;
        self.touch(home, Moved { contacts: true, ..Moved::default() })?.contacts.retain(|contact| contact.id != id);
        Ok(())
    }

    /// Writes a tag of a customer. A person can only choose among tags that are defined.
    ///
    /// # Errors
    /// 404; a tag that is not defined.
    pub fn set_tag(&mut self, customer: i64, name: &str, value: &str) -> Result<(), Refusal> {
        self.wake();
        if !self.definitions.contains_key(name) {
            return Err(Refusal::invalid(format!("custom tag {name} is not defined")));
        }
        let now = self.now();
        let row = self.touch(customer, Moved { tags: true, ..Moved::default() })?;
        match row.tags.iter_mut().find(|tag| tag.name == name) {
            Some(tag) => (tag.value, tag.updated) = (value.to_owned(), now),
            None => row.tags.push(Tag { name: name.into(), value: value.into(), created: now, updated: now }),
        }
        Ok(())
    }

    /// Takes a tag off a customer; false when it had none.
    ///
    /// # Errors
    /// 404.
    pub fn remove_tag(&mut self, customer: i64, name: &str) -> Result<bool, Refusal> {
        self.wake();
        if self.customer(customer)?.tag(name).is_none() {
            return Ok(false);
        }
        self.touch(customer, Moved { tags: true, ..Moved::default() })?.tags.retain(|tag| tag.name != name);
        Ok(true)
    }

    /// Administration > Custom Tags: a definition, for all customers.
    pub fn define_tag(&mut self, name: &str, display: &str) {
        self.definitions.insert(name.to_owned(), display.to_owned());
    }

    /// Removes a definition, and the tag from every customer.
    pub fn undefine_tag(&mut self, name: &str) {
        self.definitions.remove(name);
        for row in self.customers.values_mut() {
            row.tags.retain(|tag| tag.name != name);
        }
    }

    /// A license order made by a person: what is not given comes from the template; without one from the first there is.
    /// Returns the activation key.
    ///
    /// # Errors
    /// What may not be written; no template at all.
    pub fn issue(&mut self, customer: i64, fields: &Value) -> Result<String, Refusal> {
        let given = object(fields)?;
        let first = || self.products.values().flat_map(|product| &product.templates).next();
        let template = match given.get("product_template_id").and_then(int) {
            Some(id) => self.template(id),
            None => first(),
        };
        let template = template.ok_or_else(|| Refusal::not_found("product template"))?;
        let mut body = template.fields.clone();
        for only_of_templates in ["name", "license_filename"] {
            body.remove(only_of_templates);
        }
        body.insert("customer_id".into(), customer.into());
        body.insert("product_template_id".into(), template.id.into());
        body.insert("enabled".into(), true.into());
        body.insert("removal".into(), false.into());
        body.insert("Hostids".into(), json!(template.hostids));
        body.insert("Features".into(), json!(template.features));
        body.extend(given.clone());
        self.by_hand(|world| world.create_order(&body.into()))
    }

    /// Changes the given fields of a license order.
    ///
    /// # Errors
    /// 404, 400.
    pub fn update_order(&mut self, key: &str, fields: &Value) -> Result<(), Refusal> {
        let order = self.order(key)?;
        let mut body = order.fields.clone();
        body.insert("customer_id".into(), order.customer.into());
        body.insert("product_template_id".into(), order.template.into());
        body.insert("Hostids".into(), json!(order.hostids));
        body.insert("Features".into(), json!(order.features));
        body.extend(object(fields)?.clone());
        self.by_hand(|world| world.patch_order(key, &body.into()))
    }

    /// Deletes a license order with its licenses.
    ///
    /// # Errors
    /// 404.
    pub fn delete_order(&mut self, key: &str) -> Result<(), Refusal> {
        self.order(key)?;
        self.orders.remove(key);
        Ok(())
    }

    /// An end user activates a license of an order; returns its id.
    ///
    /// # Errors
    /// 404; a disabled order; no activation left.
    pub fn activate(&mut self, key: &str, hostid: &str) -> Result<i64, Refusal> {
        self.wake();
        let order = self.order(key)?;
        let used = i64::try_from(order.licenses.len()).unwrap_or(i64::MAX);
        if !order.flag("enabled") || used >= order.int("activations_allowed") {
            return Err(Refusal::new(403, "the license order is disabled or used up"));
        }
        let (id, activated) = (self.fresh_other(), self.now());
        if let Some(order) = self.orders.get_mut(key) {
            order.licenses.push(License { id, hostid: hostid.to_owned(), activated });
        }
        Ok(id)
    }

    /// Every login so far ends.
    pub fn expire_tokens(&mut self) {
        self.tokens.expire();
        self.soap_tokens.expire();
    }

    /// The customer of a contact.
    fn home(&self, contact: i64) -> Result<i64, Refusal> {
        let home = self.customers.values().find(|row| row.contacts.iter().any(|it| it.id == contact));
        home.map(|row| row.id).ok_or_else(|| Refusal::not_found("contact"))
    }

    /// A customer about to be edited; its stamp moves if these parts move it.
    fn touch(&mut self, id: i64, moved: Moved) -> Result<&mut Customer, Refusal> {
        let (bumps, now) = (moved.bumps(&self.settings), self.now());
        let row = self.customers.get_mut(&id).ok_or_else(|| Refusal::not_found("customer"))?;
        if bumps {
            row.updated = now;
        }
        Ok(row)
    }
}

fn object(fields: &Value) -> Result<&Map<String, Value>, Refusal> {
    super::check::object("fields", fields)
}
