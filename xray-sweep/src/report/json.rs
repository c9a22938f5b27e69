//! The document for programs: exact values under stable keys.

use super::document::{Block, Document, Section, Table};
use serde_json::{Map, Value as Json, json};

const FORMAT: u32 = 1;

/// `report.json`.
pub(super) fn text(document: &Document) -> String {
    let sections: Vec<Json> = document.sections.iter().map(section).collect();
    let whole = json!({ "format": FORMAT, "title": document.title, "sections": sections });
    format!("{whole:#}\n")
}

fn section(section: &Section) -> Json {
    let (mut texts, mut cards, mut tables) = (Vec::new(), Vec::new(), Map::new());
    for block in &section.blocks {
        match block {
            Block::Text(text) | Block::Warning(text) => texts.push(json!(text)),
            Block::Cards(all) => cards.extend(
                all.iter()
                    .map(|card| json!({ "name": card.name, "value": card.value, "detail": card.detail })),
            ),
            Block::Table(named) => {
                tables.insert(named.name.clone(), table(&named.what));
            }
            // Charts show what the tables say.
            Block::Chart(_) | Block::Multiples(_) | Block::Code(_) => {}
        }
    }
    json!({ "id": section.id, "title": section.title, "text": texts, "cards": cards, "tables": tables })
}

fn table(table: &Table) -> Json {
    let row = |values: &Vec<super::document::Value>| {
        let pairs = table.columns.iter().zip(values);
        Json::Object(pairs.map(|(column, value)| (column.key.to_owned(), value.json.clone())).collect())
    };
    json!({
        "title": table.title,
        "rows": table.rows.iter().map(row).collect::<Vec<_>>(),
        "notes": table.notes,
    })
}
