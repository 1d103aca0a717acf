"""Scopes `record` and `lock` are newer than keys. A key that had every scope of its time has them now, as
`admin` let it make such a key; any other one says which scope it lacks."""

from django.db import migrations

FORMER = frozenset({"issue", "operate", "gate", "admin"})
NEW = ["record", "lock"]


def give(apps, schema_editor):
    ApiKey = apps.get_model("validators", "ApiKey")
    for key in ApiKey.objects.filter(event=""):
        if FORMER <= set(key.scopes):
            key.scopes = [*key.scopes, *(scope for scope in NEW if scope not in key.scopes)]
            key.save(update_fields=["scopes"])


class Migration(migrations.Migration):

    dependencies = [
        ('validators', '0009_secret_fingerprint'),
    ]

    operations = [
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
