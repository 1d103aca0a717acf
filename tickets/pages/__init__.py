"""The tickets page, and the pages of files: import (upload, preview, progress, report) and export."""
