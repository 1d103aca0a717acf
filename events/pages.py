"""The page of judged runs."""

from validators.dashboard.views import page_of

show_page = page_of("events", title="Agent runs")
