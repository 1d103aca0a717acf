# Codes of tickets, and blocked tickets: no ticket had either before, so there is nothing to fill in.

import validators.ledger.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0003_upheld'),
    ]

    operations = [
        migrations.AddField(
            model_name='ticket',
            name='blocked',
            field=models.BooleanField(db_default=False),
        ),
        migrations.CreateModel(
            name='TicketCode',
            fields=[
                ('id', validators.ledger.fields.RowNumberField(primary_key=True, serialize=False)),
                ('event', validators.ledger.fields.KeyField(max_length=64)),
                ('digest', models.BinaryField()),
                ('ticket_id', validators.ledger.fields.KeyField(max_length=128)),
                ('revoked', models.BooleanField()),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('event', 'digest'), name='one_ticket_per_code')
                ],
            },
        ),
    ]
