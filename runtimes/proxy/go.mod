module rewind-bench/proxy

go 1.22
