"""Teams: what their people and API keys may do, and where. The next migration fills them."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("validators", "0017_steward_links"),
    ]

    operations = [
        migrations.CreateModel(
            name="Team",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                (
                    "all_events",
                    models.BooleanField(default=False, help_text="Also those that are created later."),
                ),
                (
                    "events",
                    models.JSONField(
                        blank=True, default=list, help_text="Short names of the only events that it is for."
                    ),
                ),
                (
                    "rights",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="services.teams.RIGHTS. Reading is always included.",
                    ),
                ),
                (
                    "lists",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Short names of the only lists on which it lets in; [] for all.",
                    ),
                ),
                (
                    "products",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="The only products whose tickets it lets in; [] for all.",
                    ),
                ),
                (
                    "members",
                    models.ManyToManyField(blank=True, related_name="teams", to=settings.AUTH_USER_MODEL),
                ),
            ],
            options={"ordering": ["name", "pk"]},
        ),
        migrations.AddField(
            model_name="apikey",
            name="team",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="keys",
                to="validators.team",
                help_text="What it may do, and where.",
            ),
        ),
    ]
