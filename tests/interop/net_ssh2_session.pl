# One session through Net::SSH2 (libssh2) for Perl, behaving as `ssh` does: stdin in, stdout and stderr out, the exit
# status handed on, 255 for a signal, whose name it prints.

use strict;
use warnings;

use Getopt::Long;
use IO::Poll qw(POLLIN);
use IO::Socket::INET;
use Net::SSH2;

# The status that the second session of each crossing ends with.
my $STATUS = 7;
my %METHODS = (
    kex => ['kex'], cipher => ['crypt_cs', 'crypt_sc'], mac => ['mac_cs', 'mac_sc'], key => ['hostkey'],
    compression => ['comp_cs', 'comp_sc'],
);

my %chosen;
GetOptions(\%chosen, 'port=i', 'user=s', 'exec=s', 'pty', 'password=s', 'key=s', 'crossings') or exit 2;

sub fail {
    my ($ssh, $what) = @_;
    my (undef, undef, $text) = $ssh->error;
    die "$what: " . ($text // 'no reason') . "\n";
}

# A connection that has logged in, offering only what the wishes name. Its socket is given too.
sub open_connection {
    my (%wishes) = @_;
    my $socket = IO::Socket::INET->new(PeerHost => '127.0.0.1', PeerPort => $chosen{port}) or die "connect: $!\n";
    my $ssh = Net::SSH2->new(compress => exists $wishes{compression});
    for my $kind (grep { exists $METHODS{$_} } sort keys %wishes) {
        $ssh->method($_, $wishes{$kind}) or fail($ssh, "no $kind $wishes{$kind}") for @{$METHODS{$kind}};
    }
    $ssh->connect($socket) or fail($ssh, 'handshake');
    my $is_in =
        defined $chosen{password} ? $ssh->auth_password($chosen{user}, $chosen{password})
      : defined $chosen{key} ? $ssh->auth_publickey($chosen{user}, "$chosen{key}.pub", $chosen{key})
      : defined $ssh->auth_list($chosen{user}) ? 0
      :                                          $ssh->auth_ok;
    $is_in or fail($ssh, 'login');
    return ($ssh, $socket);
}

# Hands on what has come on one stream to a file handle, or to a text: how many bytes.
sub hand_on {
    my ($channel, $stream, $to) = @_;
    my $count = $channel->read(my $block, 32768, $stream);
    return 0 if !$count || $count < 0;
    ref $to eq 'SCALAR' ? $$to .= $block : $to->syswrite($block);
    return $count;
}

# Runs a channel that has started to its end. `$source` gives the next piece of input, '' if there is none yet, undef
# at its end; `$wait` waits for either side.
sub run_channel {
    my ($ssh, $channel, $source, $out, $err, $wait) = @_;
    my ($pending, $is_open, $has_ended) = ('', 1, 0);
    $ssh->blocking(0);
    while (1) {
        my $moved = hand_on($channel, 0, $out) + hand_on($channel, 1, $err);
        if ($is_open && $pending eq '') {
            $pending = $source->();
            ($is_open, $pending) = (0, '') if !defined $pending;
        }
        # Like a write it may have to be tried again: during a key exchange.
        $has_ended = $channel->send_eof if !$is_open && $pending eq '' && !$has_ended;
        if ($pending ne '') {
            my $count = $channel->write($pending) // 0;
            $moved += substr($pending, 0, $count, '') ne '' if $count > 0;
        }
        last if !$moved && $channel->eof;
        $wait->($is_open && $pending eq '') if !$moved;
    }
    $ssh->blocking(1);
    # This waits for the status, which may come behind the end of the output.
    $channel->close;
    $channel->wait_closed;
}

sub session {
    my ($ssh, $socket) = open_connection();
    my $channel = $ssh->channel or fail($ssh, 'channel');
    $channel->pty('xterm', undef, 80, 24) or fail($ssh, 'pty') if $chosen{pty};
    my $is_started = defined $chosen{exec} ? $channel->exec($chosen{exec}) : $channel->shell;
    $is_started or fail($ssh, 'request');
    my $has_input = 0;
    my $source = sub {
        return '' if !$has_input;
        $has_input = 0;
        my $count = sysread(STDIN, my $block, 32768);
        return $count ? $block : undef;
    };
    my $wait = sub {
        my ($wants_input) = @_;
        my $poll = IO::Poll->new;
        $poll->mask($socket => POLLIN);
        $poll->mask(\*STDIN => POLLIN) if $wants_input;
        $poll->poll(0.05);
        $has_input = 1 if $wants_input && $poll->events(\*STDIN);
    };
    run_channel($ssh, $channel, $source, \*STDOUT, \*STDERR, $wait);
    my ($signal) = $channel->exit_signal;
    if ($signal) {
        print STDERR "signal $signal\n";
        return 255;
    }
    return $channel->exit_status;
}

sub run_command {
    my ($ssh, $socket, $command, $data) = @_;
    my $channel = $ssh->channel or fail($ssh, 'channel');
    $channel->exec($command) or fail($ssh, 'exec');
    my ($out, $err) = ('', '');
    my @pieces = ($data);
    my $wait = sub {
        my $poll = IO::Poll->new;
        $poll->mask($socket => POLLIN);
        $poll->poll(0.05);
    };
    run_channel($ssh, $channel, sub { shift @pieces }, \$out, \$err, $wait);
    return ($out, $channel->exit_status);
}

sub cross {
    my (%wishes) = @_;
    my ($ssh, $socket) = open_connection(%wishes);
    srand 1;
    my $half = int($wishes{bytes} / 2);
    my $data = join('', map { chr int rand 256 } 1 .. $half) . "\0" x ($wishes{bytes} - $half);
    my ($echoed, $status) = run_command($ssh, $socket, 'cat', $data);
    my (undef, $second) = run_command($ssh, $socket, "exit $STATUS", '');
    $ssh->disconnect;
    die length($echoed) . " bytes were echoed, or others\n" if $echoed ne $data;
    die "the statuses are $status and $second\n" if $status != 0 || $second != $STATUS;
}

sub cross_all {
    $| = 1;
    while (my $line = <STDIN>) {
        my %wishes = map { split /=/, $_, 2 } split ' ', $line;
        print eval { cross(%wishes); 1 } ? "ok\n" : "failed: $@";
    }
    return 0;
}

binmode STDOUT;
my $status = eval { $chosen{crossings} ? cross_all() : session() };
if (!defined $status) {
    print STDERR $@;
    $status = 255;
}
exit $status;
