"""What amqtt loads by dotted path: password files, client certificates, topic rules, and the door itself.

plugins:
  amqtt_doorlog.DoorPlugin: {listeners: {mqtts: {bind: ":8883", tls: {certfile: chain.pem, keyfile: key.pem}}}}
  amqtt_doorlog.PasswordFilePlugin: {password_file: users.txt}
  amqtt_doorlog.ClientCertificatePlugin: {must_match: client_id}
  amqtt_doorlog.TopicAclPlugin: {rules: {"*": {publish: ["lp/%u/#"], subscribe: ["lp/%u/#"]}}}
"""

from __future__ import annotations

from amqtt_doorlog.client_certificate import ClientCertificatePlugin
from amqtt_doorlog.door import DoorPlugin
from amqtt_doorlog.password_file import PasswordFilePlugin
from amqtt_doorlog.topic_acl import TopicAclPlugin

__all__ = ["ClientCertificatePlugin", "DoorPlugin", "PasswordFilePlugin", "TopicAclPlugin"]
