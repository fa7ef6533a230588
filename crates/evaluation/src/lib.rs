//! Fraud metrics, thresholds and reports.
