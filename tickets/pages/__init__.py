"""The pages of files: import (upload, preview, progress, report) and export."""
