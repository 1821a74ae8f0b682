"""What AWS must allow: which IAM actions stand behind the calls of the gateways, who needs them, and on what."""
