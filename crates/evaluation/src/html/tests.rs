use super::*;
use crate::evaluation::Evaluation;
use crate::report::{Column, Feature, Schema, Threshold};

fn sample() -> Report {
    let n = 2_000;
    let labels: Vec<u8> = (0..n).map(|i| u8::from(i % 25 == 0)).collect();
    let raw: Vec<f64> =
        (0..n).map(|i| f64::from((i * 7_919) % 1_000) / 200.0 - 4.0 + 2.5 * f64::from(labels[i as usize])).collect();
    let probability: Vec<f64> = raw.iter().map(|raw| 1.0 / (1.0 + libm::exp(-raw))).collect();
    let amounts: Vec<f64> = (0..n).map(|i| f64::from(i % 90) + 0.5).collect();
    let test = Evaluation::compute(&raw, &probability, &labels, Some(&amounts), 0.0).unwrap();
    Report {
        program: "orderguard 0.0.0".into(),
        features: vec![Feature { name: "count(order) by card over 1d".into(), importance: 1.0 }],
        test: Some(test),
        threshold: Some(Threshold { raw_score: 0.0, probability: 0.5, aim: "recall at least 80 %".into(), note: None }),
        notes: vec!["a note with <b>tags</b>".into()],
        ..Report::default()
    }
}

/// Names of elements in order of their appearance, closing ones with a slash.
fn elements(page: &str) -> Vec<&str> {
    let starts = page.match_indices('<').map(|(at, _)| &page[at + 1..]);
    starts
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/'))
        .map(|rest| &rest[..rest.find([' ', '>', '\n']).unwrap_or(0)])
        .collect()
}

#[test]
fn every_element_that_is_opened_is_closed() {
    let page = page(&sample());
    let body = &page[page.find("<body>").unwrap()..page.rfind("<script>").unwrap()];
    let mut open = Vec::new();
    for name in elements(body) {
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if ["input", "line", "path"].contains(&name) => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, ["body"]);
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_names_stay_words() {
    let mut report = sample();
    report.schema = Schema {
        columns: vec![Column { name: "</script><img src=x onerror=alert(1)>".into(), ..Column::default() }],
        ..Schema::default()
    };
    report.features[0].name = "\"><script>alert(1)</script>".into();
    let page = page(&report);
    assert!(
        !page.contains("http://") && !page.contains("https://") && !page.contains("@import") && !page.contains("url(")
    );
    assert!(!page.contains("<img") && !page.contains("<b>") && page.contains("&lt;b&gt;tags"));
    assert_eq!(page.matches("<script").count(), 2, "the page's own script and its data");
}

#[test]
fn charts_stand_in_the_page_and_have_words_for_those_who_cannot_see() {
    let report = sample();
    let page = page(&report);
    let charts = charts(&report);
    let ids: Vec<_> = charts.iter().map(|chart| chart.id).collect();
    assert_eq!(ids, ["precision-recall", "roc", "scores", "calibration", "importance"]);
    for chart in &charts {
        assert!(page.contains(&format!("aria-labelledby=\"{0}-title {0}-text\"", chart.id)), "{}", chart.id);
        assert!(!chart.picture.description.is_empty());
    }
}

#[test]
fn an_empty_report_is_a_page_too() {
    let page = page(&Report::default());
    assert!(page.contains("<h1>") && page.contains("</html>") && !page.contains("<figure>"));
}
