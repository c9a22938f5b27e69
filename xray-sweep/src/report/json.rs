//! The document for programs: exact values under stable keys.

use super::document::{Block, Document, Section, Table};
use serde_json::{Map, Value as Json, json};
use xray_display::chart::{Chart, Series};

const FORMAT: u32 = 1;

/// `report.json`.
pub(super) fn text(document: &Document) -> String {
    let sections: Vec<Json> = document.sections.iter().map(section).collect();
    let whole = json!({ "format": FORMAT, "title": document.title, "sections": sections });
    format!("{whole:#}\n")
}

fn section(section: &Section) -> Json {
    let (mut texts, mut cards, mut commands) = (Vec::new(), Vec::new(), Vec::new());
    let (mut tables, mut charts) = (Map::new(), Map::new());
    for block in &section.blocks {
        match block {
            Block::Text(text) | Block::Warning(text) => texts.push(json!(text)),
            Block::Cards(all) => cards.extend(all.iter().map(|card| {
                json!({ "name": card.name, "value": card.value.json, "text": card.value.text,
                        "detail": card.detail })
            })),
            Block::Table(named) => {
                tables.insert(named.name.clone(), table(&named.what));
            }
            Block::Chart(named) => {
                charts.insert(named.name.clone(), chart(&named.what));
            }
            Block::Multiples(all) => {
                charts.extend(all.iter().map(|named| (named.name.clone(), chart(&named.what))));
            }
            Block::Code(code) => commands.push(json!(code)),
        }
    }
    json!({
        "id": section.id,
        "title": section.title,
        "text": texts,
        "cards": cards,
        "tables": tables,
        "charts": charts,
        "code": commands,
    })
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

/// What is drawn, as numbers.
fn chart(chart: &Chart) -> Json {
    let series = |series: &Series| {
        json!({ "dots": series.dots, "line": series.line, "dashed": series.dashed, "band": series.band.concat(),
            "bars": series.bars, "rings": series.rings, "crosses": series.crosses })
    };
    json!({
        "title": chart.title,
        "x": chart.x.label,
        "y": chart.y.label,
        "levels": chart.levels,
        "series": chart.series.iter().map(series).collect::<Vec<_>>(),
        "legend": chart.legend.iter().map(|(_, text)| text).collect::<Vec<_>>(),
    })
}
