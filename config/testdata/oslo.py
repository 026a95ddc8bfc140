# Reads cases (a list of files' texts) as JSON from standard input and answers what oslo.config makes of each: the values
# of the options, or null for one that it cannot read, or null for the whole when it cannot parse the file.
import json
import sys
import tempfile

from oslo_config import cfg

OPTIONS = {
    None: [cfg.StrOpt('host'), cfg.StrOpt('log_file'), cfg.StrOpt('log_dir'), cfg.BoolOpt('debug', default=False)],
    'api_settings': [cfg.StrOpt('api_base_uri'), cfg.PortOpt('bind_port', default=9876), cfg.StrOpt('tls_cert_file'),
                     cfg.DictOpt('enabled_provider_drivers', default={'a': 'b'}),
                     cfg.StrOpt('tls_cipher_prohibit_list', default='', deprecated_name='tls_cipher_blacklist')],
    'networking': [cfg.ListOpt('valid_vip_networks', default=[])],
    'oslo_messaging_notifications': [cfg.MultiStrOpt('driver', default=[])],
}


def read(texts):
    files = []
    for text in texts:
        f = tempfile.NamedTemporaryFile('w', suffix='.conf')
        f.write(text)
        f.flush()
        files.append(f)
    conf = cfg.ConfigOpts()
    for group, options in OPTIONS.items():
        conf.register_opts(options, group=group)
    try:
        conf(args=[], default_config_files=[f.name for f in files], default_config_dirs=[])
    except cfg.Error:
        return None
    values = {}
    for group, options in OPTIONS.items():
        for option in options:
            try:
                value = getattr(getattr(conf, group) if group else conf, option.dest)
            except (cfg.Error, ValueError):
                return None
            values[(group or 'DEFAULT') + '.' + option.dest] = '' if value is None else value
    return values


json.dump([read(texts) for texts in json.load(sys.stdin)], sys.stdout)
