// With segmentio/kafka-go: an order is paid in, confirmed, and paid out. Usage: go run . ORDER
//
// Its Hash balancer chooses partitions by FNV-1a, where Java's client uses murmur2 and librdkafka
// CRC32. That does no harm: whichever partition a fact lies in, it is decided under the order's lock.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

type command struct {
	OrderID     string `json:"order_id"`
	CommandID   string `json:"command_id"`
	PartyID     string `json:"party_id"`
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
	Attempt     int    `json:"attempt"`
}

func servers() []string {
	named := os.Getenv("ESCROW_KAFKA__BOOTSTRAP_SERVERS")
	if named == "" {
		named = "127.0.0.1:9092"
	}
	return strings.Split(named, ",")
}

// send writes a fact in binary mode. Sent again under the same source and id, it is a duplicate.
func send(ctx context.Context, to *kafka.Writer, topic, kind, id, order string, data any) error {
	value, err := json.Marshal(data)
	if err != nil {
		return err
	}
	var headers []kafka.Header
	for name, text := range map[string]string{
		"content-type":   "application/json",
		"ce_specversion": "1.0",
		"ce_source":      "/examples/go",
		"ce_id":          id,
		"ce_type":        kind,
	} {
		headers = append(headers, kafka.Header{Key: name, Value: []byte(text)})
	}
	return to.WriteMessages(ctx, kafka.Message{Topic: topic, Key: []byte(order), Value: value, Headers: headers})
}

func kindOf(message kafka.Message) string {
	for _, header := range message.Headers {
		if header.Key == "ce_type" {
			return string(header.Value)
		}
	}
	return ""
}

func run(ctx context.Context, order string) error {
	writer := &kafka.Writer{
		Addr:         kafka.TCP(servers()...),
		Balancer:     &kafka.Hash{},
		RequiredAcks: kafka.RequireAll,
		BatchTimeout: 5 * time.Millisecond,
	}
	defer writer.Close()
	captured := map[string]any{
		"order_id": order, "payment_id": "pay-" + order, "buyer_id": "anna", "supplier_id": "acme",
		"amount_minor": 4200, "currency": "EUR", "method": "visa", "paid_through": "escrow",
		"agreement_accepted": true,
	}
	if err := send(ctx, writer, "escrow.payments.v1", "payment.captured", order+".captured", order, captured); err != nil {
		return err
	}
	confirmed := map[string]any{"order_id": order, "buyer_id": "anna"}
	if err := send(ctx, writer, "escrow.refund-requests.v1", "delivery.confirmed", order+".confirmed", order, confirmed); err != nil {
		return err
	}

	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers:     servers(),
		GroupID:     "go-" + order,
		Topic:       "escrow.payout-commands.v1",
		StartOffset: kafka.FirstOffset,
		MaxWait:     250 * time.Millisecond,
	})
	defer reader.Close()
	for {
		message, err := reader.FetchMessage(ctx)
		if err != nil {
			return fmt.Errorf("no command came: %w", err)
		}
		if string(message.Key) != order || kindOf(message) != "payout.release" {
			continue
		}
		var ordered command
		if err := json.Unmarshal(message.Value, &ordered); err != nil {
			return err
		}
		// A real gateway moves the money here, once for each command_id, and remembers that it has.
		result := map[string]any{
			"order_id": ordered.OrderID, "command_id": ordered.CommandID,
			"amount_minor": ordered.AmountMinor, "currency": ordered.Currency,
		}
		id := fmt.Sprintf("%s.%d.settled", ordered.CommandID, ordered.Attempt)
		if err := send(ctx, writer, "escrow.gateway-results.v1", "gateway.settled", id, order, result); err != nil {
			return err
		}
		fmt.Println("paid out", ordered.AmountMinor, ordered.Currency, "to", ordered.PartyID)
		return reader.CommitMessages(ctx, message)
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := run(ctx, os.Args[1]); err != nil {
		log.Fatal(err)
	}
}
