#!/usr/bin/env bash
# With kcat and jq: an order is paid in, confirmed, and paid out. Usage: client.sh ORDER
set -euo pipefail
order=$1
servers=${ESCROW_KAFKA__BOOTSTRAP_SERVERS:-127.0.0.1:9092}

# A fact in binary mode. Sent again under the same source and id, it is a duplicate.
# Usage: send TOPIC TYPE ID < data, as one line of JSON
send() {
	kcat -P -b "$servers" -t "$1" -k "$order" -X acks=all \
		-H content-type=application/json -H ce_specversion=1.0 -H ce_source=/examples/kcat \
		-H ce_id="$3" -H ce_type="$2"
}

jq -cn --arg order "$order" '{order_id: $order, payment_id: "pay-\($order)", buyer_id: "anna", supplier_id: "acme",
	amount_minor: 4200, currency: "EUR", method: "visa", paid_through: "escrow", agreement_accepted: true}' |
	send escrow.payments.v1 payment.captured "$order.captured"
jq -cn --arg order "$order" '{order_id: $order, buyer_id: "anna"}' |
	send escrow.refund-requests.v1 delivery.confirmed "$order.confirmed"

# Whole topic each time, since kcat cannot look for a key: well enough for a trial.
for _ in $(seq 60); do
	command=$(kcat -C -b "$servers" -t escrow.payout-commands.v1 -o beginning -e -q -J |
		jq -rc --arg order "$order" 'select(.key == $order and (.headers | index("payout.release"))) | .payload' | head -1)
	test -n "$command" && break
	sleep 1
done
test -n "$command" || { echo "no command came" >&2; exit 1; }

# A real gateway moves the money here, once for each command_id, and remembers that it has.
jq -c '{order_id, command_id, amount_minor, currency}' <<<"$command" |
	send escrow.gateway-results.v1 gateway.settled "$(jq -r '"\(.command_id).\(.attempt).settled"' <<<"$command")"
jq -r '"paid out \(.amount_minor) \(.currency) to \(.party_id)"' <<<"$command"
