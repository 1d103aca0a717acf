"""Teams take the place of groups by name and of a key's own fields: whoever could do something can do it."""

from django.db import migrations

STANDARD = {
    "organiser": ["addresses", "gate", "issue", "log", "operate"],
    "gate": ["gate"],
    "auditor": ["audit", "log"],
}
SCOPES = ("issue", "operate", "gate", "admin", "record", "lock", "supervise")
LIST, PRODUCT = "list:", "product:"
ALL_RIGHTS = {"issue", "operate", "gate", "supervise", "addresses", "log", "record", "lock", "audit", "admin"}


def team_with(Team, name, **fields):
    found = next(
        (
            each
            for each in Team.objects.filter(name=name)
            if all(getattr(each, k) == v for k, v in fields.items())
        ),
        None,
    )
    return found or Team.objects.create(name=name, **fields)


def give(apps, schema_editor):
    Team = apps.get_model("validators", "Team")
    for name, rights in STANDARD.items():
        team_with(Team, name, all_events=True, events=[], rights=rights, lists=[], products=[])
    give_people(apps, Team)
    for key in apps.get_model("validators", "ApiKey").objects.all():
        rights = set(key.scopes) & ALL_RIGHTS
        if "operate" in rights:
            rights.add("addresses")  # a key with this scope saw them
        limits = [*key.lists, *key.products]
        key.team = team_with(
            Team,
            ("Stewards" if key.made_by else ", ".join(sorted(key.scopes)) or "reading")[:100]
            + (f" ({', '.join(limits)})"[:40] if limits else ""),
            all_events=not key.event,
            events=[key.event] if key.event else [],
            rights=sorted(rights),
            lists=list(key.lists),
            products=list(key.products),
        )
        key.save(update_fields=["team"])


def give_people(apps, Team):
    Group, User = apps.get_model("auth", "Group"), apps.get_model("auth", "User")
    for user in User.objects.all():
        names = set(user.groups.values_list("name", flat=True))
        rights = {right for name in names for right in STANDARD.get(name, [name] if name in SCOPES else [])}
        if not names & (STANDARD.keys() | set(SCOPES)):
            continue
        if may_see_addresses(user):
            rights.add("addresses")
        lists, products = (
            sorted(name.removeprefix(kind) for name in names if name.startswith(kind))
            for kind in (LIST, PRODUCT)
        )
        named = sorted(
            name for name in names if name in STANDARD or name in SCOPES or name.startswith((LIST, PRODUCT))
        )
        team = team_with(
            Team,
            ", ".join(named)[:100],
            all_events=True,
            events=[],
            rights=sorted(rights),
            lists=lists,
            products=products,
        )
        team.members.add(user)
    for group in Group.objects.all():
        if group.name in STANDARD or group.name in SCOPES or group.name.startswith((LIST, PRODUCT)):
            group.delete()


def may_see_addresses(user):
    """By Django's own permission, which pages asked for besides the group."""
    seen = {"codename": "view_ticketholder", "content_type__app_label": "tickets"}
    given = user.user_permissions.filter(**seen).exists()
    return given or user.groups.filter(**{f"permissions__{name}": value for name, value in seen.items()}).exists()


class Migration(migrations.Migration):
    dependencies = [("validators", "0018_teams")]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
