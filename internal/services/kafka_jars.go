package services

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// kafkaVersion is the Kafka that tests run against.
const kafkaVersion = "4.1.1"

const downloadTimeout = 10 * time.Minute // of 43 MB, the first time

// kafkaPOM makes Maven fetch Kafka's server with all that it needs, and a logger that one flag silences.
const kafkaPOM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>filature</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + kafkaVersion + `</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`

// kafkaJars returns the class path of a Kafka. The first time on a machine it fetches the jars with Maven
// into the user's cache.
var kafkaJars = sync.OnceValues(func() (classpath string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "filature", "kafka-"+kafkaVersion)
	classpath = filepath.Join(folder, "*")
	if _, err := os.Stat(folder); err == nil {
		return classpath, nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		return "", err
	}
	// Fetched beside its place and moved there whole, so that what is there is complete. If another
	// process was faster, the move fails, and its jars are as good.
	fetched, err := os.MkdirTemp(filepath.Dir(folder), "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fetched)
	if err := fetchJars(fetched); err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(fetched, "jars"), folder); err != nil {
		if _, gone := os.Stat(folder); gone != nil {
			return "", err
		}
	}
	return classpath, nil
})

func fetchJars(folder string) error {
	pom := filepath.Join(folder, "pom.xml")
	if err := os.WriteFile(pom, []byte(kafkaPOM), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), downloadTimeout)
	defer cancel()
	//nolint:gosec // folders that we made
	maven := exec.CommandContext(ctx, "mvn", "--quiet", "--batch-mode", "--file", pom, "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(folder, "jars"))
	if out, err := maven.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch Kafka %s (needs mvn and Java 17; or name a cluster in %s): %w\n%s", kafkaVersion, kafkaEnv, err, out)
	}
	return nil
}
