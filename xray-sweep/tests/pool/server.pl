# A web server for tests: the files below the current folder, on a port of its own, which it prints, until its stdin ends.
# Of what is asked for below /half/ it announces all, sends half and hangs up. perl is part of every Debian.
use strict;
use warnings;
use IO::Socket::INET;

$SIG{CHLD} = 'IGNORE';
$| = 1;
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64) or die "cannot listen: $!\n";
my $server = $$;
if (!fork) {
    close $listener;
    1 while <STDIN>;
    kill 'KILL', $server;
    exit;
}
print $listener->sockport, "\n";
while (my $client = $listener->accept) {
    if (fork) {
        close $client;
        next;
    }
    my ($method, $path) = (<$client> // '') =~ m{^(GET|HEAD) /([\w./-]+) } or exit;
    while (my $line = <$client>) {
        last if $line =~ /^\r?$/;
    }
    my $is_half = $path =~ s{^half/}{};
    my ($status, $content) = ('404 Not Found', '');
    if (open my $file, '<:raw', $path) {
        local $/;
        ($status, $content) = ('200 OK', <$file>);
    }
    my $length = length $content;
    print $client "HTTP/1.1 $status\r\nContent-Length: $length\r\nConnection: close\r\n\r\n";
    print $client substr $content, 0, $is_half ? $length / 2 : $length if $method eq 'GET';
    exit;
}
