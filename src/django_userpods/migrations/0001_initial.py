import django.db.models.deletion
import django.utils.timezone
import django_userpods.models
from django.conf import settings
from django.db import migrations, models


def name_installation(apps, schema_editor):
    """Make the random id by which a cluster knows this database."""
    installation = apps.get_model("userpods", "Installation")
    installation.objects.using(schema_editor.connection.alias).get_or_create(pk=1)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Installation',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('identifier', models.CharField(default=django_userpods.models.random_identifier, editable=False, max_length=32, verbose_name='identifier')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('heard_at', models.DateTimeField(editable=False, null=True, verbose_name='heard at')),
                ('known_since', models.DateTimeField(editable=False, null=True, verbose_name='known since')),
                ('synced_at', models.DateTimeField(editable=False, null=True, verbose_name='last sync')),
                ('sync_failures', models.PositiveIntegerField(default=0, editable=False, verbose_name='failures')),
                ('trouble', models.TextField(blank=True, default='', editable=False, verbose_name='trouble')),
                ('trouble_since', models.DateTimeField(editable=False, null=True, verbose_name='trouble since')),
                ('rollout_of', models.CharField(blank=True, default='', editable=False, max_length=64, verbose_name='template of the rollout')),
                ('rollout_failures', models.PositiveIntegerField(default=0, editable=False, verbose_name='failures of the rollout')),
                ('rollout_reason', models.TextField(blank=True, default='', editable=False, verbose_name='last failure of the rollout')),
                ('rollout_stopped_at', models.DateTimeField(editable=False, null=True, verbose_name='rollout stopped at')),
            ],
            options={
                'verbose_name': 'installation',
                'verbose_name_plural': 'installations',
            },
        ),
        migrations.CreateModel(
            name='Profile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.CharField(help_text='The identifier that pods with this profile refer to: a-z, 0-9 and dashes. It cannot be changed later.', max_length=63, unique=True, verbose_name='slug')),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('description', models.CharField(blank=True, default='', max_length=500, verbose_name='description')),
                ('enabled', models.BooleanField(default=True, help_text='Whether it can be chosen and started.', verbose_name='enabled')),
                ('groups', models.JSONField(blank=True, default=list, help_text='The groups whose members may choose it. Leave empty to let everybody choose it.', verbose_name='groups')),
                ('at_once', models.PositiveIntegerField(blank=True, help_text='How many pods with this profile may run at once, across all users. Leave empty for no limit.', null=True, verbose_name='how many at once')),
                ('image', models.CharField(blank=True, default='', help_text="The image of the main container. Leave empty to use the template's.", max_length=512, verbose_name='image')),
                ('resources', models.JSONField(blank=True, default=dict, help_text='Merged into the template\'s, as in {"limits": {"memory": "2Gi"}}.', verbose_name='resources')),
                ('env', models.JSONField(blank=True, default=dict, help_text='Merged into the template\'s, as in {"NAME": "value"}.', verbose_name='environment variables')),
                ('template', models.TextField(blank=True, default='', help_text='Manifests in YAML, used instead of USERPODS_TEMPLATE. Leave empty to use that setting.', verbose_name='template')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
            ],
            options={
                'verbose_name': 'profile',
                'verbose_name_plural': 'profiles',
                'ordering': ('name', 'slug'),
            },
        ),
        migrations.CreateModel(
            name='ProfileVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(verbose_name='number')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='at')),
                ('actor', models.CharField(blank=True, default='', max_length=255, verbose_name='by')),
                ('content', models.JSONField(default=dict, verbose_name='content')),
                ('profile', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='userpods.profile', verbose_name='profile')),
            ],
            options={
                'verbose_name': 'version of a profile',
                'verbose_name_plural': 'versions of profiles',
                'constraints': [models.UniqueConstraint(fields=('profile', 'number'), name='userpods_version_unique')],
            },
        ),
        migrations.CreateModel(
            name='BulkRun',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('operation', models.CharField(editable=False, max_length=16, verbose_name='asked for')),
                ('actor', models.CharField(blank=True, default='', editable=False, max_length=255, verbose_name='by')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='at')),
                ('number', models.PositiveIntegerField(editable=False, verbose_name='number of pods')),
            ],
            options={
                'verbose_name': 'bulk run',
                'verbose_name_plural': 'bulk runs',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='AccessToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('label', models.CharField(blank=True, help_text='What it is for, in a few words.', max_length=100, verbose_name='label')),
                ('digest', models.CharField(editable=False, max_length=64, unique=True, verbose_name='digest')),
                ('scope', models.CharField(choices=[('reach', 'reach my pods'), ('manage', 'reach and manage my pods')], default='reach', help_text="What it may do. A pod's own application only needs to reach it.", max_length=16, verbose_name='scope')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('expires_at', models.DateTimeField(blank=True, help_text='Leave empty for no expiry.', null=True, verbose_name='expires at')),
                ('revoked_at', models.DateTimeField(editable=False, null=True, verbose_name='revoked at')),
                ('last_used_at', models.DateTimeField(editable=False, null=True, verbose_name='last used at')),
                ('user', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='userpods_tokens', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'access token',
                'verbose_name_plural': 'access tokens',
            },
        ),
        migrations.CreateModel(
            name='PodSession',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(editable=False, max_length=64, unique=True, verbose_name='digest')),
                ('pod', models.CharField(editable=False, max_length=16, verbose_name='pod')),
                ('site_session', models.CharField(db_index=True, editable=False, max_length=64, verbose_name='site session')),
                ('sealed_key', models.TextField(editable=False, verbose_name='sealed key')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('expires_at', models.DateTimeField(db_index=True, editable=False, verbose_name='expires at')),
                ('user', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'pod session',
                'verbose_name_plural': 'pod sessions',
            },
        ),
        migrations.CreateModel(
            name='Ticket',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(editable=False, max_length=64, unique=True, verbose_name='digest')),
                ('pod', models.CharField(editable=False, max_length=16, verbose_name='pod')),
                ('site_session', models.CharField(db_index=True, editable=False, max_length=64, verbose_name='site session')),
                ('sealed_key', models.TextField(editable=False, verbose_name='sealed key')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('expires_at', models.DateTimeField(db_index=True, editable=False, verbose_name='expires at')),
                ('state', models.CharField(editable=False, max_length=64)),
                ('path', models.TextField(editable=False)),
                ('user', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'ticket',
                'verbose_name_plural': 'tickets',
            },
        ),
        migrations.CreateModel(
            name='UserPod',
            fields=[
                ('id', models.CharField(default=django_userpods.models.random_identifier, editable=False, max_length=16, primary_key=True, serialize=False)),
                ('owner_pk', models.CharField(db_index=True, editable=False, max_length=255, verbose_name="owner's primary key")),
                ('slot', models.CharField(blank=True, default='', editable=False, help_text='Empty for the main pod.', max_length=12, verbose_name='slot')),
                ('name', models.CharField(editable=False, max_length=63, null=True, unique=True, verbose_name='name')),
                ('namespace', models.CharField(editable=False, max_length=63, verbose_name='namespace')),
                ('profile', models.CharField(blank=True, db_index=True, default='', editable=False, help_text='The one that its user chose; empty for the standard one.', max_length=63, verbose_name='profile')),
                ('wanted', models.CharField(choices=[('running', 'running'), ('stopped', 'stopped'), ('absent', 'absent')], default='running', max_length=16, verbose_name='wanted')),
                ('state', models.CharField(choices=[('pending', 'pending'), ('starting', 'starting'), ('running', 'running'), ('stopped', 'stopped'), ('failed', 'failed'), ('deleting', 'deleting')], db_index=True, default='pending', max_length=16, verbose_name='state')),
                ('message', models.TextField(blank=True, default='', verbose_name='message')),
                ('address', models.CharField(editable=False, help_text="The Service's own IP address and port.", max_length=64, null=True, unique=True, verbose_name='address')),
                ('image', models.CharField(blank=True, default='', editable=False, max_length=512, verbose_name='image')),
                ('kinds', models.TextField(blank=True, default='', editable=False, help_text='The kinds of object made so far, separated by commas.', verbose_name='kinds')),
                ('restarted_at', models.DateTimeField(editable=False, null=True, verbose_name='restarted at')),
                ('recreate', models.BooleanField(default=False, editable=False, verbose_name='to be deleted and recreated')),
                ('to_sync', models.BooleanField(default=False, editable=False, verbose_name='to be synced')),
                ('overruled', models.TextField(blank=True, default='', editable=False, help_text='Objects that the cluster changes in what is declared, with a digest of each.', verbose_name='overruled')),
                ('asked_at', models.DateTimeField(db_index=True, editable=False, null=True, verbose_name='asked at')),
                ('activity', models.TextField(blank=True, default='', editable=False, help_text='What counts as use of the pod, as its Deployment says.', verbose_name='rules on activity')),
                ('turn', models.CharField(blank=True, choices=[('waiting', 'waiting for its turn'), ('updating', 'being updated'), ('failed', 'failed after its update'), ('refused', 'could not be updated')], db_index=True, default='', editable=False, help_text='Where it is while a changed template reaches pods in waves.', max_length=16, verbose_name='rollout')),
                ('step_times', models.CharField(blank=True, default='', editable=False, max_length=128, verbose_name='times of its steps')),
                ('restarts', models.PositiveSmallIntegerField(default=0, editable=False, help_text='How often containers of its present pod were started again.', verbose_name='restarts')),
                ('last_activity', models.DateTimeField(editable=False, null=True, verbose_name='last activity')),
                ('started_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='started at')),
                ('looked_at', models.DateTimeField(editable=False, null=True, verbose_name='looked at')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='updated at')),
                ('owner', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='userpods', to=settings.AUTH_USER_MODEL, verbose_name='owner')),
            ],
            options={
                'verbose_name': 'user pod',
                'verbose_name_plural': 'user pods',
                'permissions': [('sync_userpod', 'Can sync user pods'), ('start_userpod', 'Can start user pods'), ('stop_userpod', 'Can stop user pods'), ('restart_userpod', 'Can restart user pods'), ('recreate_userpod', 'Can delete and recreate user pods'), ('choose_profile_userpod', 'Can choose profiles of user pods'), ('share_userpod', 'Can share user pods'), ('view_userpod_logs', 'Can see events and logs of user pods')],
                'constraints': [models.UniqueConstraint(fields=('owner', 'slot'), name='userpods_slot_unique')],
            },
        ),
        migrations.CreateModel(
            name='Transition',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='at')),
                ('operation', models.CharField(blank=True, default='', max_length=16, verbose_name='asked for')),
                ('actor', models.CharField(blank=True, default='', help_text='A username, or which part of the site.', max_length=255, verbose_name='by')),
                ('before', models.CharField(choices=[('pending', 'pending'), ('starting', 'starting'), ('running', 'running'), ('stopped', 'stopped'), ('failed', 'failed'), ('deleting', 'deleting')], max_length=16, verbose_name='state before')),
                ('after', models.CharField(choices=[('pending', 'pending'), ('starting', 'starting'), ('running', 'running'), ('stopped', 'stopped'), ('failed', 'failed'), ('deleting', 'deleting')], max_length=16, verbose_name='state after')),
                ('message', models.TextField(blank=True, default='', verbose_name='message')),
                ('outcome', models.CharField(blank=True, choices=[('done', 'done'), ('failed', 'failed'), ('replaced', 'something else was asked for before')], default='', max_length=16, verbose_name='outcome')),
                ('settled_at', models.DateTimeField(editable=False, null=True, verbose_name='outcome known at')),
                ('run', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='lines', to='userpods.bulkrun', verbose_name='bulk run')),
                ('pod', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='transitions', to='userpods.userpod', verbose_name='user pod')),
            ],
            options={
                'verbose_name': 'transition',
                'verbose_name_plural': 'transitions',
            },
        ),
        migrations.CreateModel(
            name='Share',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('expires_at', models.DateTimeField(blank=True, help_text='Leave empty for no expiry.', null=True, verbose_name='expires at')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('created_by', models.CharField(blank=True, default='', editable=False, max_length=255, verbose_name='by')),
                ('group', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='userpods_shares', to='auth.group', verbose_name='group')),
                ('pod', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='shares', to='userpods.userpod', verbose_name='user pod')),
                ('user', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='userpods_shares', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'share',
                'verbose_name_plural': 'shares',
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('group__isnull', True), ('user__isnull', False)), models.Q(('group__isnull', False), ('user__isnull', True)), _connector='OR'), name='userpods_share_with_one', violation_error_message='Name one user or one group.'), models.UniqueConstraint(fields=('pod', 'user'), name='userpods_share_user_unique'), models.UniqueConstraint(fields=('pod', 'group'), name='userpods_share_group_unique')],
            },
        ),
        migrations.RunPython(
            name_installation, migrations.RunPython.noop, hints={"model_name": "installation"}
        ),
    ]
