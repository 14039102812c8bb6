//! `[products]` brought in line with what is sold: lines that name what the platform does not have are left out, and codes
//! that Salesforce and the platform share are added.

use super::{fit::meant, sheet::Sheet};
use crate::cli::check::products::{judge, lines};
use crate::connectors::{Ask, Page, Reader, Vocabulary};
use crate::record::Value;
use tokio::sync::mpsc;

const TABLE: &str = "products";
const CODE: &str = "ProductCode";

/// Lines of the file that the platform cannot give.
pub(super) fn fit(sheet: &mut Sheet, words: &Vocabulary) -> Result<(), String> {
    loop {
        let text = sheet.text();
        let (file, rules) = meant(&text)?;
        match judge(&rules, words, &lines(&file, &text)).first() {
            Some(finding) if finding.line > 0 => sheet.leave_out(finding.line - 1, &finding.message),
            Some(finding) => return Err(finding.complaint()),
            None => return Ok(()),
        }
    }
}

/// Codes of Salesforce products that no line speaks of, with the platform's code of the same spelling.
pub(super) fn shared(text: &str, codes: &[String], words: &Vocabulary) -> Result<Vec<(String, String)>, String> {
    let (_, rules) = meant(text)?;
    let open = codes.iter().filter(|code| rules.product(code).is_none());
    let sold = |code: &str| {
        let mut same = words.products.iter().filter(|p| p.active && !p.archived && !p.bundle && p.code.eq_ignore_ascii_case(code));
        same.next().filter(|_| same.next().is_none()).map(|p| p.code.clone())
    };
    Ok(open.filter_map(|code| Some((code.clone(), sold(code)?))).collect())
}

pub(super) fn add(sheet: &mut Sheet, code: &str, product: &str) {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    sheet.add(TABLE, &format!("{} = {{ product = {} }}", quoted(code), quoted(product)), "of the same code on both sides");
}

/// The product codes of the org. Without access to products there are none to propose.
pub(super) async fn codes(salesforce: &dyn Reader) -> Vec<String> {
    let resource = "Product2".to_owned();
    let ask = Ask { object: "product".to_owned(), resource, fields: vec![CODE.to_owned()], since: None, sweep: true };
    let (to, mut from) = mpsc::channel::<Page>(4);
    let asks = [ask];
    let (read, codes) = tokio::join!(salesforce.poll(&asks, to), async {
        let mut codes = Vec::new();
        while let Some(page) = from.recv().await {
            codes.extend(page.records.iter().filter_map(|record| match record.fields.get(CODE) {
                Some(Value::Text(code)) if !code.trim().is_empty() => Some(code.clone()),
                _ => None,
            }));
        }
        codes
    });
    let mut codes = if read.is_ok() { codes } else { Vec::new() };
    codes.sort();
    codes.dedup();
    codes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::connectors::{PolicyWord, ProductWord};
    use crate::rules::SHIPPED;

    #[test]
    fn only_what_is_sold_stays_and_shared_codes_are_found() {
        let product = |code: &str| ProductWord { code: code.to_owned(), active: true, ..ProductWord::default() };
        let policy = PolicyWord { code: "orbit-basic-perpetual".to_owned(), product: Some("orbit-basic".to_owned()), archived: false };
        let words =
            Vocabulary { products: vec![product("orbit-basic"), product("ls-new")], policies: vec![policy], ..Vocabulary::default() };
        let mut sheet = Sheet::of(SHIPPED);
        fit(&mut sheet, &words).unwrap();
        let codes = ["LS-BASIC", "LS-NEW", "LS-PRO"].map(str::to_owned);
        let found = shared(&sheet.text(), &codes, &words).unwrap();
        assert_eq!(found, [("LS-NEW".to_owned(), "ls-new".to_owned())]);
        add(&mut sheet, &found[0].0, &found[0].1);
        let (_, rules) = meant(&sheet.text()).unwrap();
        assert!(rules.product("LS-BASIC").is_some() && rules.product("LS-NEW").is_some() && rules.product("LS-PRO").is_none());
        assert!(sheet.text().contains("left out: the platform has no product orbit-pro"), "{}", sheet.text());
    }
}
