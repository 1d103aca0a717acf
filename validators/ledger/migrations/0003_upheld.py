# Searched tickets: an upheld dispute gets a state of its own in column and counters.

from django.db import migrations
from django.db.models import F

CHUNK = 1_000


def set_upheld_apart(apps, schema_editor):
    """Only where tickets are searched are there counters of them."""
    from validators.ledger.state_rows import unpack_ticket

    using = schema_editor.connection.alias
    ticket, counter = apps.get_model("ledger", "Ticket"), apps.get_model("ledger", "Counter")
    counters = counter.objects.using(using)
    for name in list(counters.filter(name__startswith="ticket/DISPUTED/").values_list("name", flat=True)):
        event, after, upheld = name.split("/", 2)[2], "", 0
        disputed = ticket.objects.using(using).filter(event=event, state="DISPUTED").order_by("ticket_id")
        while rows := list(disputed.filter(ticket_id__gt=after).values_list("id", "ticket_id", "row")[:CHUNK]):
            ids = [number for number, _ticket, row in rows if unpack_ticket(bytes(row)).upheld]
            upheld += ticket.objects.using(using).filter(id__in=ids).update(state="UPHELD")
            after = rows[-1][1]
        if upheld:
            counters.filter(name=name).update(value=F("value") - upheld)
            counters.create(name=f"ticket/UPHELD/{event}", value=upheld)


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0002_proofs'),
    ]

    operations = [migrations.RunPython(set_upheld_apart, migrations.RunPython.noop)]
