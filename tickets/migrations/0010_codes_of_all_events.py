from django.db import migrations, models


class Migration(migrations.Migration):
    """A text that no ticket has is looked up among the codes of all of today's events at once."""

    dependencies = [
        ("tickets", "0009_answers_by_event"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="ticketcode", name="codes_by_folded"),
        migrations.AddIndex(
            model_name="ticketcode",
            index=models.Index(fields=["folded", "event"], name="codes_by_folded"),
        ),
    ]
