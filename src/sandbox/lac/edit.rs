//! Edits as JSON, for `/__control/edit`: the same that `hand` offers to Rust.

use serde_json::{Map, Value, json};

use super::check::{self, int};
use super::reply::Refusal;
use super::world::World;

impl World {
    /// One edit of `/__control/edit`; answers the row it touched.
    ///
    /// # Errors
    /// An unknown `op` or object, and what the edit itself refuses.
    pub fn edit(&mut self, edit: &Value) -> Result<Value, Refusal> {
        let word = |name: &str| edit[name].as_str().ok_or_else(|| Refusal::invalid(format!("{name}: text is expected")));
        let number = |name: &str| int(&edit[name]).ok_or_else(|| Refusal::invalid(format!("{name}: a whole number is expected")));
        let none = json!({});
        let fields = edit.get("fields").unwrap_or(&none);
        match word("op")? {
            "create" => self.edit_create(word("object")?, fields),
            "update" => match word("object")? {
                "customer" => self.update_customer(number("id")?, fields).and_then(|()| self.seen("customer", &edit["id"])),
                "contact" => self.update_contact(number("id")?, fields).and_then(|()| self.seen("contact", &edit["id"])),
                "license_order" => self.update_order(word("id")?, fields).and_then(|()| self.seen("license_order", &edit["id"])),
                other => Err(Refusal::invalid(format!("{other} is not updated so"))),
            },
            "delete" => {
                match word("object")? {
                    "customer" => self.delete_customer(number("id")?)?,
                    "contact" => self.delete_contact(number("id")?)?,
                    "license_order" => self.delete_order(word("id")?)?,
                    other => return Err(Refusal::invalid(format!("{other} is not deleted so"))),
                }
                Ok(json!({"deleted": edit["id"]}))
            }
            "set_tag" => {
                self.set_tag(number("customer")?, word("tag")?, word("value")?)?;
                self.seen("customer", &edit["customer"])
            }
            "remove_tag" => {
                self.remove_tag(number("customer")?, word("tag")?)?;
                self.seen("customer", &edit["customer"])
            }
            "define_tag" => {
                self.define_tag(word("tag")?, edit["display"].as_str().unwrap_or(word("tag")?));
                self.seen("tag_definition", &edit["tag"])
            }
            "undefine_tag" => {
                self.undefine_tag(word("tag")?);
                Ok(json!({"undefined": edit["tag"]}))
            }
            "activate" => {
                let id = self.activate(word("order")?, edit["hostid"].as_str().unwrap_or("00-11-22-33-44-55"))?;
                self.seen("license", &id.into())
            }
            "expire_tokens" => {
                self.expire_tokens();
                Ok(json!({"expired": true}))
            }
            other => Err(Refusal::invalid(format!("there is no op {other}"))),
        }
    }

    fn edit_create(&mut self, what: &str, fields: &Value) -> Result<Value, Refusal> {
        let mut fields = check::object("fields", fields)?.clone();
        let text = |fields: &Map<String, Value>, name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut link = |name: &str| {
            let id = fields.remove(name).as_ref().and_then(int);
            id.ok_or_else(|| Refusal::invalid(format!("{name}: a whole number is expected")))
        };
        match what {
            "customer" => {
                let id = self.add_customer(&fields.into())?;
                self.seen(what, &id.into())
            }
            "contact" => {
                let customer = link("customer_id")?;
                let id = self.add_contact(customer, &text(&fields, "name"), &text(&fields, "email"))?;
                self.seen(what, &id.into())
            }
            "license_order" => {
                let customer = link("customer_id")?;
                let key = self.issue(customer, &fields.into())?;
                self.seen(what, &key.into())
            }
            "product" => {
                let id = self.add_product(&text(&fields, "name"), &text(&fields, "version"));
                self.seen(what, &id.into())
            }
            "product_template" => {
                let product = link("product_id")?;
                let id = self.by_hand(|world| world.create_template(product, &fields.into()))?;
                self.seen(what, &id.into())
            }
            other => Err(Refusal::invalid(format!("{other} is not created so"))),
        }
    }

    fn seen(&self, object: &str, id: &Value) -> Result<Value, Refusal> {
        self.row(object, id).ok_or_else(|| Refusal::not_found(object))
    }
}
