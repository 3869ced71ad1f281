"""Order events and alarms told to others over HTTPS, signed as Standard Webhooks say; off unless configured."""
