"""results/report.html: the audit as one page that works offline."""
