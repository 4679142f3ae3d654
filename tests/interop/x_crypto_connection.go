// A connection through Go's x/crypto/ssh with channel types and global requests of its own. It does what stdin says, a
// line at a time, and prints one line for each:
//
//	request NAME PAYLOAD  a global request: "success BODY" or "failure"
//	open KIND PAYLOAD     a channel: "opened", a space and the first line that the server writes, or "refused CODE TEXT"
//	say TEXT              writes to that channel and reads as many bytes: "heard TEXT"
//	extended TEXT         writes to its extended stream, 1 as the library has it: "sent"
//	control NAME PAYLOAD  a request on that channel: "success" or "failure"
//	end                   ends its input and reads to the end: "rest TEXT"
//	session COMMAND       a session beside it: "session STATUS OUTPUT"
//
// A channel of the type thing@example.org that the server opens is accepted: what it reads and echoes is printed as one
// line that begins with "server opened". One of the type silent@example.org is never answered. The server's request
// colour@example.org is answered with "blue".
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

var (
	port = flag.Int("port", 0, "")
	user = flag.String("user", "", "")
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(255)
	}
}

// Answers the server's global requests.
func answer(requests <-chan *ssh.Request) {
	for request := range requests {
		known := request.Type == "colour@example.org"
		if request.WantReply {
			request.Reply(known, []byte("blue"))
		}
	}
}

// Echoes on the channels that the server opens.
func accept(offers <-chan ssh.NewChannel) {
	for offer := range offers {
		go func(offer ssh.NewChannel) {
			channel, requests, err := offer.Accept()
			must(err)
			go ssh.DiscardRequests(requests)
			line, err := bufio.NewReader(channel).ReadString('\n')
			must(err)
			fmt.Printf("server opened %s %q: %s\n", offer.ChannelType(), offer.ExtraData(), strings.TrimSpace(line))
			channel.Close()
		}(offer)
	}
}

type own struct {
	ssh.Channel
	reader *bufio.Reader
}

func open(client *ssh.Client, kind, payload string) *own {
	channel, requests, err := client.OpenChannel(kind, []byte(payload))
	var refusal *ssh.OpenChannelError
	if errors.As(err, &refusal) {
		fmt.Printf("refused %d %s\n", uint32(refusal.Reason), refusal.Message)
		return nil
	}
	must(err)
	go ssh.DiscardRequests(requests)
	one := &own{channel, bufio.NewReader(channel)}
	line, err := one.reader.ReadString('\n')
	must(err)
	fmt.Printf("opened %s\n", strings.TrimSpace(line))
	return one
}

func session(client *ssh.Client, command string) {
	one, err := client.NewSession()
	must(err)
	output, err := one.Output(command)
	status := 0
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		status = exit.ExitStatus()
	} else {
		must(err)
	}
	fmt.Printf("session %d %s\n", status, strings.TrimSpace(string(output)))
}

func main() {
	flag.Parse()
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(*port))
	socket, err := net.Dial("tcp", address)
	must(err)
	config := &ssh.ClientConfig{User: *user, HostKeyCallback: ssh.InsecureIgnoreHostKey()}
	connection, offers, requests, err := ssh.NewClientConn(socket, address, config)
	must(err)
	go answer(requests)
	none := make(chan *ssh.Request)
	close(none)
	client := ssh.NewClient(connection, offers, none)
	go accept(client.HandleChannelOpen("thing@example.org"))
	client.HandleChannelOpen("silent@example.org")
	var channel *own
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		words := append(strings.SplitN(lines.Text(), " ", 3), "", "")
		rest := strings.TrimPrefix(strings.TrimPrefix(lines.Text(), words[0]), " ")
		switch words[0] {
		case "request":
			success, body, err := client.SendRequest(words[1], true, []byte(words[2]))
			must(err)
			if success {
				fmt.Printf("success %s\n", body)
			} else {
				fmt.Println("failure")
			}
		case "open":
			channel = open(client, words[1], words[2])
		case "say":
			_, err := io.WriteString(channel, rest)
			must(err)
			heard := make([]byte, len(rest))
			_, err = io.ReadFull(channel.reader, heard)
			must(err)
			fmt.Printf("heard %s\n", heard)
		case "extended":
			_, err := io.WriteString(channel.Stderr(), rest)
			must(err)
			fmt.Println("sent")
		case "control":
			success, err := channel.SendRequest(words[1], true, []byte(words[2]))
			must(err)
			if success {
				fmt.Println("success")
			} else {
				fmt.Println("failure")
			}
		case "end":
			must(channel.CloseWrite())
			heard, err := io.ReadAll(channel.reader)
			must(err)
			fmt.Printf("rest %q\n", heard)
		case "session":
			session(client, rest)
		}
	}
	client.Close()
}
