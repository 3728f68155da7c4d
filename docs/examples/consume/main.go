// Command consume shows how a client's backend reads completions from Kafka, with any client of Kafka: it adds up what was
// spent, each job once, whatever comes twice.
//
//	consume -brokers 127.0.0.1:9092 -topic filature.completions -group books -count 10
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/segmentio/kafka-go"
	"google.golang.org/protobuf/proto"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "consume:", err)
		os.Exit(1) //nolint:forbidigo,gocritic // this is main, and what stop gives back ends with the process
	}
}

// books is somebody's database.
type books struct {
	last  map[uint32]*v1.FactPosition // by shard: the last completion that was booked
	spent int64                       // nanotons
}

// book is one transaction. It says whether the completion is new: copies stand in the topic after a relay died.
func (b *books) book(c *v1.Completion) bool {
	at, last := c.Position, b.last[c.Position.Shard]
	if last != nil && (at.Offset < last.Offset || at.Offset == last.Offset && at.Fact <= last.Fact) {
		return false
	}
	b.last[at.Shard] = at
	b.spent += c.ChargeNano
	return true
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("consume", flag.ContinueOnError)
	brokers := flags.String("brokers", "127.0.0.1:9092", "brokers, separated by commas")
	topic := flags.String("topic", "filature.completions", "the topic of completions")
	group := flags.String("group", "books", "consumer group")
	count := flags.Int("count", 0, "end after so many; 0 goes on for ever")
	if err := flags.Parse(args); err != nil {
		return err
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: strings.Split(*brokers, ","), Topic: *topic, GroupID: *group,
		StartOffset: kafka.FirstOffset, // a new group misses nothing
	})
	defer func() { _ = reader.Close() }()
	own := books{last: map[uint32]*v1.FactPosition{}}
	for told := 0; *count == 0 || told < *count; {
		message, err := reader.FetchMessage(ctx)
		if err != nil {
			return err
		}
		completion := &v1.Completion{}
		if err := proto.Unmarshal(message.Value, completion); err != nil {
			return err
		}
		if own.book(completion) {
			told++
			fmt.Fprintf(out, "%s: %d nanotons, %d in all\n", completion.Outcome, completion.ChargeNano, own.spent)
		}
		// Only now: who dies before gets it again, and sees that it is a copy.
		if err := reader.CommitMessages(ctx, message); err != nil {
			return err
		}
	}
	return nil
}
