# What certificates and auditors need: ticket states of every entry, evidence with all its frames, old views.

import validators.ledger.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0001_initial'),
    ]

    operations = [
        # Nothing was ever written to it.
        migrations.DeleteModel(name='Evidence'),
        migrations.CreateModel(
            name='EntryStates',
            fields=[
                ('sequence', validators.ledger.fields.SequenceField(primary_key=True, serialize=False)),
                ('content', models.BinaryField()),
                ('checksum', models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='ViewArchive',
            fields=[
                ('id', validators.ledger.fields.SequenceField(primary_key=True, serialize=False)),
                ('epoch', models.BigIntegerField()),
                ('view', models.BigIntegerField()),
                ('frames', models.BinaryField()),
            ],
        ),
        migrations.CreateModel(
            name='Evidence',
            fields=[
                ('id', validators.ledger.fields.RowNumberField(primary_key=True, serialize=False)),
                ('code', models.CharField(max_length=64)),
                ('epoch', models.BigIntegerField()),
                ('member', models.IntegerField()),
                ('view', models.BigIntegerField()),
                ('sequence', models.BigIntegerField()),
                ('frames', models.BinaryField()),
                ('timestamp', models.BigIntegerField()),
                ('checksum', models.BigIntegerField()),
            ],
            options={
                'verbose_name_plural': 'evidence',
                'ordering': ['-id'],
                'constraints': [
                    models.UniqueConstraint(
                        fields=('member', 'epoch', 'code', 'view', 'sequence'), name='one_evidence_per_crime'
                    )
                ],
            },
        ),
    ]
