package pubsub

import (
	"context"

	"github.com/filature/filature/adapters/kafka"
)

// Create makes the topics of streams where they are missing, and leaves those that exist as they are. One
// that has another number of partitions is a kafka.ErrTopic.
func Create(ctx context.Context, cluster kafka.Cluster, streams ...kafka.Stream) error {
	client, err := kafka.Dial(ctx, cluster)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, stream := range streams {
		if err := client.Create(ctx, stream); err != nil {
			return err
		}
	}
	return nil
}
