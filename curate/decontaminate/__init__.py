"""The stage that holds back rows that give away evaluation items, and the suites it reads them from."""
